package conformance

// shownByCrashes are the promises of the contract that only a crash or a failing device can
// show, each with the check that would find it broken. These checks are about the log: it loses
// data where a backend breaks one of them.
var shownByCrashes = map[string]string{
	"F9": "Faults/SyncFailsInRecovery",
}
