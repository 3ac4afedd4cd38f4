package conformance

// shownByCrashes are the promises of the contract without a check of their own, each with the check
// of the log that would find it broken: it loses data.
var shownByCrashes = map[string]string{
	"F9": "Faults/SyncFailsInRecovery",
}
