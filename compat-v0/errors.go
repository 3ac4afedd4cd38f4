package walv0

import "errors"

// The errors to test for with errors.Is, besides those of the log.
var (
	// ErrNoSource: the directory holds nothing of v0.
	ErrNoSource = errors.New("no v0 data in this directory: it has no TOPIC/PARTITION/wal_A_B.log")
	// ErrDamaged: the source holds what cannot be brought over as it is. Nothing was written.
	ErrDamaged = errors.New("the source is damaged")
	// ErrForeign: the target holds something else than what this migration writes.
	ErrForeign = errors.New("the target holds something else: give a directory that is empty or not there")
	// ErrLayout: the directory has the other layout than the one that is asked for.
	ErrLayout = errors.New("the directory has the other layout")
	// ErrNotInV0: an option asks for what the v0 layout has no room for. Nothing was opened.
	ErrNotInV0 = errors.New("the v0 layout has no such thing")
	// ErrVerify: what was written is not what was read.
	ErrVerify = errors.New("what was written is not what the source holds")
	// ErrSourceChanged: the source is not what it was when it was scanned.
	ErrSourceChanged = errors.New("the source changed while it was read: stop what writes to it, and begin again")
)
