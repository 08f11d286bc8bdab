"""What the analyser knows of each language: its stemmer's name and its function words.

The lists are our own and short: words that stand in every text and say nothing about it. A language without a list
has none left out of queries; it is stemmed all the same.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LANGUAGES", "NONE", "STOP_WORDS"]

NONE: Final = "none"
"""The language of an analyser that knows no language."""

LANGUAGES: Final = (
    "arabic",
    "armenian",
    "basque",
    "catalan",
    "danish",
    "dutch",
    "english",
    "esperanto",
    "estonian",
    "finnish",
    "french",
    "german",
    "greek",
    "hindi",
    "hungarian",
    "indonesian",
    "irish",
    "italian",
    "lithuanian",
    "nepali",
    "norwegian",
    "portuguese",
    "romanian",
    "russian",
    "serbian",
    "spanish",
    "swedish",
    "tamil",
    "turkish",
    "yiddish",
)
"""What every Snowball from 3.0 on can stem."""

# As the analyser sees words: casefolded, without apostrophes.
STOP_WORDS: Final[dict[str, frozenset[str]]] = {
    language: frozenset(words.split())
    for language, words in {
        "english": """
            a about above after again against all am an and any are arent as at be because been before being below
            between both but by can cannot cant could couldnt did didnt do does doesnt doing dont down during each few
            for from further had hadnt has hasnt have havent having he her here hers herself him himself his how i if
            im in into is isnt it its itself ive just me more most must my myself no nor not now of off on once only or
            other our ours ourselves out over own same shall she should shouldnt so some such than that the their
            theirs them themselves then there these they this those through thus to too under until up upon us very
            was wasnt we were werent what when where which while who whom whose why will with wont would wouldnt you
            your yours yourself yourselves
            """,
        "german": """
            aber alle allem allen aller alles als also am an andere anderen auch auf aus bei bin bis bist da damit dann
            das dass dein deine deinem deinen deiner dem den denn der des dessen die dies diese diesem diesen dieser
            dieses dir doch dort du durch ein eine einem einen einer eines er es etwas euch euer eure für gegen habe
            haben hat hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in indem ins ist
            jede jedem jeden jeder jedes jene jetzt kann kein keine keinem keinen keiner können man mein meine meinem
            meinen meiner mich mir mit nach nicht nichts noch nun nur ob oder ohne sehr sein seine seinem seinen seiner
            selbst sich sie sind so solche soll sondern sonst über um und uns unser unsere unter viel vom von vor war
            waren warum was weil welche welcher wenn wer werde werden wie wieder will wir wird wo wollen würde würden
            zu zum zur zwar zwischen
            """,
        "french": """
            a ai alors au aucun aussi autre aux avais avait avec avez avoir avons c ce cela ces cet cette ceux comme d
            dans de des donc dont du elle elles en encore est et étaient était être eu eux fait fut ici il ils j je l
            la le les leur leurs lui m ma mais me même mes moi mon n ne ni nos notre nous on ont ou où par pas plus
            pour qu quand que quel quelle qui s sa sans se sera ses si son sont sous sur t ta te tes toi ton tous tout
            toute très tu un une vos votre vous y à
            """,
        "spanish": """
            a al algo ante aquel aquella así aunque cada como con cual cuando de del desde donde dos e el ella ellas
            ellos en entre era eran es esa esas ese eso esos esta está están estas este esto estos fue fueron ha había
            han hasta hay la las le les lo los más me mi mientras mis mucho muy nada ni no nos nosotros o os otra otro
            para pero poco por porque que qué quien se ser será si sí sido sin sobre son su sus también tan te tiene
            todo todos tu tus un una uno unos usted y ya yo
            """,
        "italian": """
            a ad agli ai al alla alle allo anche avere c che chi ci ciò col come con cui d da dagli dai dal dalla dalle
            dallo degli dei del dell della delle dello di dove e ed era erano essere gli ha hai hanno ho i il in io l
            la le lei lo loro lui ma me mi mia mie miei mio ne negli nei nel nella nelle nello noi non nostra nostro o
            per perché però più quale quando quanto quella quelle quello questa queste questi questo se sei si sia sono
            sua sue sugli sui sul sulla sulle suo suoi te ti tra tu tua tuo tutti tutto un una uno vi voi è
            """,
        "portuguese": """
            a ao aos aquela aquele aqui as até cada com como da das de dela dele deles depois do dos e é ela elas ele
            eles em entre era eram essa esse esta está estão este eu foi foram há isso isto já lhe lhes mais mas me
            mesmo meu meus minha muito na não nas nem no nos nós nossa nosso num numa o os ou para pela pelas pelo
            pelos por porque qual quando que quem se sem ser será seu seus só sua suas também te tem têm ter teu tu
            tua um uma você vocês
            """,
        "dutch": """
            aan al alles als altijd andere ben bij daar dan dat de der deze die dit doch doen door dus een en er ge
            geen had heb hebben heeft hem het hier hij hoe hun iets ik in is ja je jij jou jouw kan kon kunnen maar me
            meer men met mij mijn moet na naar niet niets nog nu of om omdat ons onze ook op over te tegen toch toen
            tot u uit uw van veel voor want waren was wat we wel werd wezen wie wij wil worden zal ze zei zelf zich zij
            zijn zo zonder zou
            """,
    }.items()
}
