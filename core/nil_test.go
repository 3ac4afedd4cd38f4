package wal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// What was forgotten, and is nil or zero, is an error that says so, and no panic.
func TestNilAndZeroArguments(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	begin := func() *wal.Tx { return must(m.Begin()) }
	for name, call := range map[string]func() error{
		"option":                func() error { _, err := tryOpen(newDisk(t, sim.Options{}), nil); return err },
		"option of Verify":      func() error { _, err := wal.Verify(bg, dataDir, nil); return err },
		"option of Environment": func() error { _, err := wal.Environment(nil); return err },
		"option of Repair": func() error {
			_, err := wal.Repair(bg, dataDir, wal.RepairOptions{DryRun: true}, nil)
			return err
		},
		"option of Dump": func() error {
			for _, err := range wal.Dump(bg, dataDir, wal.DumpOptions{}, nil) {
				return err
			}
			return nil
		},
		"partition of Tx.Append":           func() error { return begin().Append(nil, record("x")) },
		"partition of Tx.AppendAt":         func() error { return begin().AppendAt(nil, 0, record("x")) },
		"partition of Tx.AppendAt, offset": func() error { return begin().AppendAt(nil, -1, record("x")) },
		"zero partition of Tx.Append":      func() error { return begin().Append(new(wal.Partition), record("x")) },
		"zero Tx":                          func() error { return new(wal.Tx).Append(p, record("x")) },
		"zero Tx, AppendAt":                func() error { return new(wal.Tx).AppendAt(p, 0, record("x")) },
		"no records of Tx.Append":          func() error { return begin().Append(p) },
		"Append":                           func() error { _, err := (*wal.Partition)(nil).Append(bg, record("x")); return err },
		"AppendAsync":                      func() error { _, err := (*wal.Partition)(nil).AppendAsync(bg, record("x")); return err },
		"AppendAfter": func() error {
			_, err := (*wal.Partition)(nil).AppendAfter(bg, wal.Ack{}, record("x"))
			return err
		},
		"AppendAt":   func() error { _, err := (*wal.Partition)(nil).AppendAt(bg, 0, record("x")); return err },
		"AppendWith": func() error { _, err := (*wal.Partition)(nil).AppendWith(bg, nil, record("x")); return err },
		"AppendOnce": func() error { _, err := (*wal.Partition)(nil).AppendOnce(bg, 1, 0, record("x")); return err },
		"zero Ack":   func() error { return wal.Ack{}.Wait(bg) },
		"no records": func() error { _, err := p.Append(bg); return err },
	} {
		t.Run(name, func(t *testing.T) {
			require.NotPanics(t, func() { require.ErrorIs(t, call(), wal.ErrInvalid) })
		})
	}
	// What is nil by right means nothing, or the default.
	ack, err := p.AppendWith(bg, nil, wal.Record{})
	require.NoError(t, afterwards(ack, err))
	ack, err = p.AppendAfter(bg, wal.Ack{}, wal.Record{Headers: []wal.Header{{}}})
	require.NoError(t, afterwards(ack, err))
	require.False(t, wal.Ack{}.Duplicate())
	offsets, err := new(wal.Tx).Commit(bg)
	require.NoError(t, err)
	require.Empty(t, offsets)
	new(wal.Tx).Abort()
	require.NoError(t, m.Close())
	require.NoError(t, open(t, disk, wal.WithLogger(nil), wal.WithProgress(nil), wal.WithCodec(nil), wal.WithTopicCodec("t", nil),
		wal.WithCipher(nil), wal.WithHooks(wal.Hooks{})).Close())
}
