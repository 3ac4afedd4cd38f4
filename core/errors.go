package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"

	"github.com/chronik-go/wal/core/backend"
)

// The errors to test for with errors.Is. What is returned wraps one of them with the
// segment, byte offset and LSN it is about.
var (
	// ErrClosed: the Manager was closed.
	ErrClosed = errors.New("log is closed")
	// ErrReadOnly: the Manager was opened read-only.
	ErrReadOnly = errors.New("log is open read-only")
	// ErrLocked: another writer has the directory open.
	ErrLocked = backend.ErrLocked
	// ErrNotLog: the directory holds no log.
	ErrNotLog = errors.New("no log in this directory")
	// ErrNoSegment: the log has no segment of that number.
	ErrNoSegment = errors.New("no such segment")
	// ErrNoPartition: no record was ever appended to that topic and partition.
	ErrNoPartition = errors.New("no such partition")
	// ErrInvalid: an argument, option or environment variable is out of its range.
	// Nothing was changed.
	ErrInvalid = errors.New("invalid")
	// ErrRecordTooLarge: a record, or the records of one append together, exceed the
	// limit. Nothing was written.
	ErrRecordTooLarge = errors.New("record too large")
	// ErrOffsetOutOfRange: the offset was truncated or is beyond the next one.
	ErrOffsetOutOfRange = errors.New("offset out of range")
	// ErrBackpressure: the write buffer is full and the log does not wait (WithNoWait).
	ErrBackpressure = errors.New("write buffer is full")
	// ErrNoSpace: the disk or a quota is full, or a file size limit is reached. The
	// records were not written; appends work again once there is space.
	ErrNoSpace = errors.New("no space left for the log")
	// ErrFailed: writing or syncing failed in a way that cannot be made good. It is
	// sticky: what was durable stays readable, nothing can be appended until the log
	// is opened again.
	ErrFailed = errors.New("log has failed")
	// ErrSequence: the sequence number of an append is not the one that is due; what is
	// returned is a *SequenceError. Nothing was appended.
	ErrSequence = errors.New("sequence number out of order")
	// ErrTxDone: the transaction was committed or aborted before.
	ErrTxDone = errors.New("transaction is over")
	// ErrTxTooLarge: the transaction would hold more than one group commit may. Nothing was
	// added to it.
	ErrTxTooLarge = errors.New("transaction too large")
	// ErrTxLogs: the partitions of the transaction lie in several logs, which are written and
	// synced each by itself: no one write could make all of it durable. Nothing was added to it.
	ErrTxLogs = errors.New("transaction over several logs")
	// ErrQuarantine: the directory for what a repair takes out of the log cannot be used.
	ErrQuarantine = errors.New("quarantine")
	// ErrCodec: the records are compressed with a codec that this program does not have. They
	// are not damaged: a program that has it reads them.
	ErrCodec = errors.New("codec is not part of this program")
	// ErrDictionary: the records are compressed with a dictionary that is missing or damaged; what is
	// returned is a *DictionaryError. It comes with ErrDamaged.
	ErrDictionary = errors.New("dictionary is missing or damaged")
	// ErrMember: the logs of a data directory are not those that belong together.
	ErrMember = errors.New("the logs of the data directory do not belong together")
	// ErrKey: the records are encrypted, and there is no key for them, or the wrong one. They are
	// not damaged: with the right key they can be read.
	ErrKey = errors.New("encryption key")
	// ErrTampered: records fail authentication: they are not what was sealed with their key, or
	// not where that was. It comes with ErrDamaged.
	ErrTampered = errors.New("records fail authentication")
	// ErrNotEncrypted: WithSealedOnly met records that are not encrypted.
	ErrNotEncrypted = errors.New("records are not encrypted")
	// ErrDamaged: durable data is missing or not what was written.
	ErrDamaged = errors.New("log is damaged")
)

// PartitionSpan is a range of offsets of one partition, To exclusive. To is 0 where it
// is not known.
type PartitionSpan struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

func (s PartitionSpan) String() string {
	return fmt.Sprintf("%s/%d offsets %d to %d", s.Topic, s.Partition, s.From, s.To-1)
}

// Damage is one place where the log is not what was written.
type Damage struct {
	// Segment is the segment's file name, relative to the data directory.
	Segment string `json:"segment"`
	// Offset and Length bound the damaged bytes; Length is 0 where the file ends early.
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
	// Reason says what is wrong.
	Reason string `json:"reason"`
	// Partitions are the offsets that are lost by it, as far as is known.
	Partitions []PartitionSpan `json:"partitions"`
}

func (d Damage) String() string {
	if d.dictionary() != 0 {
		return d.what() // which names the file
	}
	return fmt.Sprintf("segment %s, bytes %d to %d: %s", d.Segment, d.Offset, d.Offset+d.Length, d.what())
}

// dictionary is the id of the dictionary of which a copy is not whole, 0 for other damage.
func (d Damage) dictionary() uint32 {
	id, _ := parseDictionaryName(path.Base(d.Segment))
	return id
}

// what says what is wrong and what is lost by it.
func (d Damage) what() string {
	s := d.Reason
	for _, p := range d.Partitions {
		s += "; lost: " + p.String()
	}
	return s
}

// DamageError is returned by Open when durable data is damaged. It wraps ErrDamaged.
type DamageError struct{ Damage []Damage }

func (e *DamageError) Error() string {
	s := ErrDamaged.Error()
	if len(e.Damage) > 0 {
		s += ": " + e.Damage[0].String()
	}
	if n := len(e.Damage); n > 1 {
		s += fmt.Sprintf(" (and %d more places)", n-1)
	}
	if lost := lostDictionary(e.Damage); lost != "" {
		return s + "; repair cannot make it: put a copy of " + lost + " back from a backup"
	}
	return s + "; look at it with verify, make it openable with repair"
}

// lostDictionary returns a file to put back if all that is damaged are dictionaries of which no copy is sound.
func lostDictionary(damage []Damage) (file string) {
	copies := map[string]int{}
	for _, d := range damage {
		if d.dictionary() == 0 {
			return ""
		}
		name := path.Dir(d.Segment) + "/" + fmt.Sprint(d.dictionary())
		copies[name]++
	}
	for _, n := range copies {
		if n < 2 { // the other one is sound
			return ""
		}
	}
	if len(damage) > 0 {
		file = damage[0].Segment
	}
	return file
}

func (e *DamageError) Unwrap() error { return ErrDamaged }

// LostError is yielded by a reader in place of records that are lost. It wraps
// ErrDamaged. Going on with the iteration goes on behind the hole.
type LostError struct{ PartitionSpan }

func (e *LostError) Error() string {
	return fmt.Sprintf("%v: %s/%d: records at offsets %d to %d are lost",
		ErrDamaged, e.Topic, e.Partition, e.From, e.To-1)
}

func (e *LostError) Unwrap() error { return ErrDamaged }

// TruncatedError is yielded by a reader whose partition was truncated under it, so that
// the record due is gone, or records it has yielded are. It wraps ErrOffsetOutOfRange.
type TruncatedError struct {
	Topic     string
	Partition int32
	// Due is the offset that the reader was to yield next. GoOn is the one to read from to
	// get what the partition holds now and the reader has not yielded.
	Due, GoOn int64
}

func (e *TruncatedError) Error() string {
	return fmt.Sprintf("%v: %s/%d: truncated while it was read: offset %d was due, read on from %d",
		ErrOffsetOutOfRange, e.Topic, e.Partition, e.Due, e.GoOn)
}

func (e *TruncatedError) Unwrap() error { return ErrOffsetOutOfRange }

// causeOf takes a file's name off the error of a backend, for messages that name the file
// themselves. An error about another file, a parent directory say, stays as it is.
func causeOf(err error, name string) error {
	var named *fs.PathError
	if errors.As(err, &named) && err == error(named) && //nolint:errorlint // the outermost one only
		filepath.Base(named.Path) == filepath.Base(name) {
		return named.Err
	}
	return err
}
