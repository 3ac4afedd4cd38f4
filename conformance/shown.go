package conformance

// shownByCrashes are the promises of the contract that only a crash or a failing device can
// show, each with the check that would find it broken. These checks are about the log: it loses
// data where a backend breaks one of them.
var shownByCrashes = map[string]string{
	"B5":  "Crash/ShutdownExt4", // every log is in a directory that was just made
	"D19": "Faults/NamesLost",
	"F8":  "Faults/UnsyncedLost",
	"F9":  "Faults/SyncFailsInRecovery",
	"Q21": "Crash/BlockExt4",
	"Q22": "Crash/BlockXFS", // logs that sync from time to time are among them
	"Q24": "Faults/BlockEIO",
}
