package wal

import "time"

// Hooks are functions that are called when something happens. Any may be nil. They are
// called on the log's own goroutines, must return quickly and not call the Manager.
type Hooks struct {
	// Rotated: a new segment took over.
	Rotated func(segment string)
	// Sealed: a segment got its footer.
	Sealed func(segment string)
	// Dropped: retention let go of a segment; recycled says whether its file is kept.
	Dropped func(segment string, recycled bool)
	// Recovered: a log was opened; tornTail is how many bytes were cut off its end.
	Recovered func(took time.Duration, tornTail int64)
	// Failed: a write or sync failed; sticky says whether the log is now read-only.
	Failed func(err error, sticky bool)
}

func (h *Hooks) rotated(segment string) {
	if h.Rotated != nil {
		h.Rotated(segment)
	}
}

func (h *Hooks) sealed(segment string) {
	if h.Sealed != nil {
		h.Sealed(segment)
	}
}

func (h *Hooks) dropped(segment string, recycled bool) {
	if h.Dropped != nil {
		h.Dropped(segment, recycled)
	}
}

func (h *Hooks) recovered(took time.Duration, tornTail int64) {
	if h.Recovered != nil {
		h.Recovered(took, tornTail)
	}
}

func (h *Hooks) failed(err error, sticky bool) {
	if h.Failed != nil {
		h.Failed(err, sticky)
	}
}
