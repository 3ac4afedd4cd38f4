package crash

import (
	"errors"
	"fmt"

	wal "github.com/chronik-go/wal/core"

	"github.com/chronik-go/wal/conformance/internal/knownkey"
)

// keyless does without the key, and with another one, all that can be done to a log.
func (s *sealedLog) keyless() error {
	for what, keys := range map[string]wal.KeyProvider{"no key": nil, "a wrong key": knownkey.Provider(1)} {
		for _, files := range []map[string][]byte{s.killed, s.closed} {
			if err := s.restore(files); err != nil {
				return err
			}
			m, err := s.open(keys)
			if err == nil {
				err = violation(Sealed, "an open for writing with %s succeeds: %v", what, m.Close())
			} else if err = onlyKey(err); err == nil {
				err = s.unchanged(files, "an open for writing with "+what)
			}
			if err != nil {
				return err
			}
			if err := s.lookWith(keys); err != nil {
				return fmt.Errorf("with %s: %w", what, err)
			}
			if err := s.repairWith(keys); err != nil {
				return fmt.Errorf("with %s: %w", what, err)
			}
			if err := s.unchanged(files, "looking and repairing with "+what); err != nil {
				return err
			}
		}
	}
	return nil
}

// onlyKey demands that an error is about the key and nothing else.
func onlyKey(err error) error {
	if !errors.Is(err, wal.ErrKey) || errors.Is(err, wal.ErrDamaged) || errors.Is(err, wal.ErrTampered) {
		return violation(Sealed, "the key is missing, and the error is %v", err)
	}
	return nil
}

// lookWith opens the log read-only without its key: all is there, and nothing can be read.
func (s *sealedLog) lookWith(keys wal.KeyProvider) error {
	m, err := s.open(keys, wal.WithReadOnly())
	if err != nil {
		return err
	}
	defer func() { _ = m.Close() }() // of a read-only log: there is nothing to lose
	for k, want := range s.want {
		p, err := m.Lookup(k.topic, k.num)
		if err != nil {
			return err
		}
		if got := p.NextOffset(); got != int64(len(want)) {
			return violation(Sealed, "%v: the next offset is %d, not %d", k, got, len(want))
		}
		for r, err := range p.Read(ctx, 0) {
			if err == nil {
				return violation(Sealed, "%v: offset %d is read as %q", k, r.Offset, r.Value)
			}
			if err := onlyKey(err); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// repairWith verifies and repairs the log without its key: nothing is wrong with it.
func (s *sealedLog) repairWith(keys wal.KeyProvider) error {
	opts := []wal.Option{wal.WithBackend(s.backend)}
	if keys != nil {
		opts = append(opts, wal.WithKeys(keys))
	}
	report, err := wal.Verify(ctx, s.dir, opts...)
	if err != nil && keys != nil {
		err = onlyKey(err)
	}
	if err != nil {
		return err
	}
	if !report.OK || report.UncheckedBatches == 0 {
		return violation(Sealed, "verify: damage %v, %d batches unchecked", report.Damage, report.UncheckedBatches)
	}
	repaired, err := wal.Repair(ctx, s.dir, wal.RepairOptions{Quarantine: s.dir + "-quarantine"}, opts...)
	if err == nil && len(repaired.Actions) > 0 {
		err = violation(Sealed, "repair of a sound log: %v", repaired.Actions)
	}
	return err
}
