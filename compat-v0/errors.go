package walv0

import "errors"

// The errors to test for with errors.Is, besides those of the log.
var (
	// ErrNoSource: the directory holds nothing of v0.
	ErrNoSource = errors.New("no v0 data in this directory: it has no TOPIC/PARTITION/wal_A_B.log")
	// ErrSourceChanged: the source is not what it was when it was scanned.
	ErrSourceChanged = errors.New("the source changed while it was read: stop what writes to it, and begin again")
)
