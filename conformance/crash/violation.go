package crash

import (
	"fmt"
	"strings"
)

// Check names a guarantee of the log, or the part of one, that a check is about. Its
// number is that of the guarantee in docs/durability.md.
type Check string

// The checks.
const (
	AckedDurable      Check = "G1 acked-durable"
	Prefix            Check = "G2 prefix"
	AtomicBatch       Check = "G3 atomic-batch"
	NoResurrection    Check = "G4 no-resurrection"
	Idempotent        Check = "G5 idempotent-recovery"
	SyncedFirst       Check = "G5 synced-before-served"
	Recovers          Check = "G5 recovers"
	TornIsNotDamage   Check = "G6 torn-is-not-damage"
	DamageReported    Check = "G6 damage-reported"
	FailedWrite       Check = "G7 failed-write"
	NoSpace           Check = "G8 no-space"
	OneWriter         Check = "G9 one-writer"
	ReadOnlyNoChange  Check = "G9 read-only-changes-nothing"
	ReadersDurable    Check = "G10 readers-see-durable"
	ReadersWhole      Check = "G10 readers-see-whole"
	BadInput          Check = "G11 bad-input"
	Bounded           Check = "G12 bounded"
	SameEverywhere    Check = "G13 same-with-every-backend"
	AtomicTransaction Check = "G14 atomic-transaction"
	AppendedOnce      Check = "G15 idempotent-append"
	Sealed            Check = "G16 sealed"
	Contract          Check = "backend contract"
)

// Violation is a check that failed.
type Violation struct {
	Check  Check
	Detail string
	// Where says how to come to the state again: seed, crash points and images, from
	// the outermost crash inwards.
	Where []string
}

func (v *Violation) Error() string {
	return fmt.Sprintf("%s: %s\n\tat %s", v.Check, v.Detail, strings.Join(v.Where, "\n\tthen "))
}

func violation(c Check, format string, args ...any) *Violation {
	return &Violation{Check: c, Detail: fmt.Sprintf(format, args...)}
}

// in adds an outer place to where the violation was found.
func (v *Violation) in(where string) *Violation {
	v.Where = append([]string{where}, v.Where...)
	return v
}
