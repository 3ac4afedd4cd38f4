package conformance

// shownByCrashes are the promises of the contract that only a crash or a failing device can
// show: group Crash covers them, each with what is named here.
var shownByCrashes = map[string]string{
	"B5":  "a log whose directory was just made is there after a crash",
	"D19": "what was created, renamed and removed before a sync of the directory is so after a crash",
	"F8":  "what was synced through the file, a size too, is there after a crash",
	"F9":  "after a failed write-back recovery reads what the device holds",
	"Q21": "what a write with Sync acknowledged is there after a crash",
	"Q22": "what was written before a sync without data is there after a crash",
	"Q24": "after a failed sync nothing is acknowledged that is not there after a crash",
}
