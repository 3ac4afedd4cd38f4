package writer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/cespare/xxhash/v2"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"

	"github.com/chronik-go/wal/conformance/crash"
	"github.com/chronik-go/wal/conformance/internal/script"
)

// Found is what a check found after a crash.
type Found struct {
	// Done is what each producer's partition holds, with this round.
	Done []script.Done
	// State tells different outcomes apart.
	State uint64
}

// Check opens a log that a writer has left, read-only, and compares what comes back with what
// must be there and what may be. What it finds wrong is a *crash.Violation. A log that was
// never made is empty.
func Check(ctx context.Context, b backend.Backend, job Job, progress []Progress) (Found, error) {
	before, err := fingerprint(job.Dir)
	if err != nil {
		return Found{}, err
	}
	parts, pairs, err := readAll(ctx, b, job.Dir)
	if err != nil {
		return Found{}, err
	}
	if after, err := fingerprint(job.Dir); err != nil {
		return Found{}, err
	} else if !maps.Equal(before, after) {
		return Found{}, violation(crash.ReadOnlyNoChange, "a read-only open changed files: %v, then %v", before, after)
	}
	found := Found{}
	h := xxhash.New()
	for i := range job.Plan.Producers {
		n, err := match(job, i, progress[i], parts[int32(i)], pairs[int32(i)])
		if err != nil {
			return Found{}, err
		}
		delete(parts, int32(i))
		delete(pairs, int32(i))
		done := append(append(script.Done{}, job.Done[i]...), n)
		found.Done = append(found.Done, done)
		_, _ = fmt.Fprint(h, done) // a hash never fails
	}
	if len(parts)+len(pairs) > 0 {
		return Found{}, violation(crash.Prefix, "there are partitions that nobody appended to: %v, %v",
			slices.Collect(maps.Keys(parts)), slices.Collect(maps.Keys(pairs)))
	}
	found.State = h.Sum64()
	return found, nil
}

func violation(c crash.Check, format string, args ...any) *crash.Violation {
	return &crash.Violation{Check: c, Detail: fmt.Sprintf(format, args...)}
}

// match finds after how many of a producer's operations its partition, and the pair of that, are
// as they were read.
func match(job Job, producer int, p Progress, got, pair contents) (int, error) {
	s := job.Plan.State(producer, job.Done[producer])
	nearest, lost, torn, numbers := "", -1, "", ""
	for n := 0; ; n++ {
		differs := s.Differs(got.first, got.next, got.records)
		must := max(p.Acked, p.Seen)
		if apart := s.PairDiffers(pair.first, pair.next, pair.records); differs == "" && apart != "" {
			differs = "as it was, but not its pair: " + apart
			torn = fmt.Sprintf("partition %d is as after operation %d, and its pair not: %s", producer, n, apart)
		}
		if apart := got.numbers(s); differs == "" && apart != "" {
			differs, numbers = "as it was, but not what it knows of its producer", fmt.Sprintf("%v: after operation %d, %s", producer, n, apart)
		}
		switch {
		case differs == "" && n >= must:
			return n, nil
		case differs == "" && lost < 0:
			lost = n
		case n >= must && nearest == "":
			nearest = differs
		}
		if n >= p.Submitted {
			break
		}
		s = s.After(job.Plan.Op(producer, n, s))
	}
	switch {
	case torn != "" && lost < 0:
		return 0, violation(crash.AtomicTransaction, "%s", torn)
	case numbers != "" && lost < 0:
		return 0, violation(crash.AppendedOnce, "partition %s", numbers)
	case lost >= p.Acked:
		return 0, violation(crash.ReadersDurable, "partition %d holds %d operations of its round, a reader saw %d", producer, lost, p.Seen)
	case lost >= 0:
		return 0, violation(crash.AckedDurable, "partition %d holds %d operations of its round, %d were acknowledged", producer, lost, p.Acked)
	}
	return 0, violation(crash.Prefix, "partition %d is as it never was: %s (%d acknowledged, %d submitted)", producer, nearest, p.Acked, p.Submitted)
}

// contents is what was read of a partition.
type contents struct {
	first, next int64
	records     []wal.Record
	// sequence is what the producer goes on with, if it is known.
	sequence int64
	known    bool
}

// numbers tells how what the partition knows of its producer differs from a state, "" if it does not.
func (c contents) numbers(s script.State) string {
	if next, known := s.Row.Next(); c.known != known || known && c.sequence != next {
		return fmt.Sprintf("its producer goes on with %d (known: %v), not %d (known: %v)", c.sequence, c.known, next, known)
	}
	return ""
}

// readAll reads a log, opened read-only: the producers' partitions, and their pairs.
func readAll(ctx context.Context, b backend.Backend, dir string) (parts, pairs map[int32]contents, err error) {
	parts, pairs = map[int32]contents{}, map[int32]contents{}
	topics := map[string]map[int32]contents{script.Topic: parts, script.PairTopic: pairs}
	m, err := wal.Open(dir, wal.WithBackend(b), wal.WithReadOnly(), script.Keys())
	switch {
	case errors.Is(err, wal.ErrNotLog), errors.Is(err, fs.ErrNotExist):
		return parts, pairs, nil
	case errors.Is(err, wal.ErrDamaged):
		return nil, nil, violation(crash.TornIsNotDamage, "open: %v", err)
	case err != nil:
		return nil, nil, violation(crash.Recovers, "open: %v", err)
	}
	defer func() { _ = m.Close() }() // of a read-only log: there is nothing to lose
	for _, info := range m.Partitions() {
		if topics[info.Topic] == nil {
			return nil, nil, violation(crash.Prefix, "topic %q, which nobody used", info.Topic)
		}
		p, err := m.Lookup(info.Topic, info.Partition)
		if err != nil {
			return nil, nil, violation(crash.Recovers, "%s/%d is listed and not found: %v", info.Topic, info.Partition, err)
		}
		c := contents{first: p.FirstOffset(), next: p.NextOffset()}
		c.sequence, c.known = p.NextSequence(id(int(info.Partition)))
		for r, err := range p.Read(ctx, c.first) {
			if err != nil {
				return nil, nil, violation(crash.TornIsNotDamage, "read %s behind %d records: %v", p, len(c.records), err)
			}
			c.records = append(c.records, r)
		}
		topics[info.Topic][info.Partition] = c
	}
	return parts, pairs, nil
}

// fingerprint is what tells whether the files below a directory have changed.
func fingerprint(dir string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		files[path] = fmt.Sprint(info.Mode(), info.Size(), info.ModTime().UnixNano())
		return nil
	})
	return files, err
}
