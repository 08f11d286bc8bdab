class ThreadMethods: pass
