package walv0

import "fmt"

// Report says what a source holds, and what of it was written.
type Report struct {
	// DryRun: nothing was written.
	DryRun bool `json:"dry_run"`
	// Files are those of records, Bytes their size.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Records are those of the source without Duplicates, which are the same records once more.
	Records    int64 `json:"records"`
	Duplicates int64 `json:"duplicates"`
	// BadCRC counts records whose CRC is wrong.
	BadCRC int64 `json:"bad_crc"`
	// Conflicts are partitions in which two records have one offset, as Options.Renumber takes them.
	Conflicts []string `json:"-"`
	// TornTails counts files that end within a record: it was being written when v0 was stopped.
	TornTails int64 `json:"torn_tails"`
	// Approximated counts records that v0 has no room for as they are: times between two
	// milliseconds, and values that are absent, not empty.
	Approximated int64 `json:"approximated"`
	// Lost counts offsets whose records a repair of the log gave up, and Export left out. Import has none:
	// it takes all of a source, or nothing.
	Lost int64 `json:"lost"`
	// Damage is what is wrong with the source, the first thousand places of it.
	Damage []Damage `json:"damage"`
	// Torn lists the torn tails.
	Torn []Damage `json:"torn"`
	// Ignored are names in the source that no v0 directory has.
	Ignored    []string    `json:"ignored"`
	Partitions []Partition `json:"partitions"`
	// Resumed: what an interrupted run had written was gone on with.
	Resumed bool `json:"resumed"`
	// Done: all is written, durable and verified.
	Done bool `json:"done"`

	moreDamage int64
}

// Partition is what a source holds of a partition.
type Partition struct {
	Topic      string `json:"topic"`
	Partition  int32  `json:"partition"`
	First      int64  `json:"first_offset"`
	Next       int64  `json:"next_offset"`
	Records    int64  `json:"records"`
	Duplicates int64  `json:"duplicates"`
	// Bytes is the size of its files.
	Bytes int64 `json:"bytes"`
	// Numbered counts records that had no offset and were given one.
	Numbered int64 `json:"numbered"`

	digest digest
}

// Damage is a place in a file of the source.
type Damage struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	Reason string `json:"reason"`
}

func (d Damage) String() string {
	return fmt.Sprintf("%s at byte %d, %d bytes: %s", d.File, d.Offset, d.Length, d.Reason)
}

const mostDamage = 1000

func (r *Report) damaged(d Damage) {
	if len(r.Damage) < mostDamage {
		r.Damage = append(r.Damage, d)
	} else {
		r.moreDamage++
	}
}

// Err is ErrDamaged, with the first place, if there is damage.
func (r *Report) Err() error {
	switch n := int64(len(r.Damage)) + r.moreDamage; n {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%w: %v", ErrDamaged, r.Damage[0])
	default:
		return fmt.Errorf("%w: in %d places, first %v", ErrDamaged, n, r.Damage[0])
	}
}
