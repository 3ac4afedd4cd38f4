package conformance

// durable returns the check of a promise that only a crash shows. It knows nothing of a log: it
// asks the backend for one thing, takes all away that was not synced, and looks.
func durable(group, name, says string) check {
	return check{group: group, name: name, says: says, run: func(t *T) {
		t.needSystem()
		if t.suite.command == nil {
			t.Skipf("needs a process of its own, which only Run can start")
		}
		t.runLayer("fuse", name, 1)
	}}
}
