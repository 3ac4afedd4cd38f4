package wal_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// dictionaryLog is a log with batches without a dictionary, with one, and with a second one.
func dictionaryLog(t tester, opts ...wal.Option) *sim.Disk {
	t.Helper()
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, append(opts, withPrimable)...)
	p := partition(t, m, "t", 0)
	must(p.Append(bg, wordy("hello", 0)))
	require.EqualValues(t, 1, setDictionary(t, m, "t", "hello").Number)
	must(p.Append(bg, wordy("hello", 1)))
	require.EqualValues(t, 2, setDictionary(t, m, "t", "world").Number)
	must(p.Append(bg, wordy("world", 2)))
	must(partition(t, m, "t", 1).Append(bg, wordy("world", 0)))
	must(partition(t, m, "other", 0).Append(bg, wordy("world", 0)))
	require.NoError(t, m.Close())
	return disk
}

func requireWords(t tester, m *wal.Manager) {
	t.Helper()
	values, _ := readAll(t, lookup(t, m, "t", 0))
	require.Len(t, values, 3)
	for i, word := range []string{"hello", "hello", "world"} {
		require.Equal(t, string(wordy(word, i).Value), values[int64(i)])
	}
}

// dictionaryFiles are the names of the files of the log's dictionaries.
func dictionaryFiles(disk *sim.Disk) []string { return names(disk, ".dict") }

// Several dictionaries stand side by side, of one topic and no other, and are found by who opens the log later.
func TestDictionaries(t *testing.T) {
	for name, opts := range map[string][]wal.Option{"plain": nil, "encrypted": {withKeys}} {
		t.Run(name, func(t *testing.T) {
			disk := dictionaryLog(t, opts...)
			sealed := uint8(0)
			if opts != nil {
				sealed = 0x80
			}
			require.Equal(t, map[string]uint8{"t 0": zerosID | sealed, "t 1": primedID | sealed, "t 2": primedID | sealed, "other 0": zerosID | sealed}, codecsPerTopic(t, disk))
			require.Len(t, dictionaryFiles(disk), 4)
			require.True(t, verify(t, disk, append(opts, withPrimable)...).OK)
			m := open(t, disk, append(opts, withPrimable)...)
			requireWords(t, m)
			list, err := m.Dictionaries()
			require.NoError(t, err)
			require.Len(t, list, 2)
			require.Equal(t, []bool{false, true}, []bool{list[0].InUse, list[1].InUse})
			require.Equal(t, opts != nil, list[0].Sealed)
			must(partition(t, m, "t", 0).Append(bg, wordy("world", 3)))
			require.NoError(t, m.Close())
			require.Equal(t, primedID|sealed, codecsOf(t, disk)["t 3"], "the newest is in use again")
			for _, file := range dictionaryFiles(disk) {
				b := must(disk.ReadFile(dataDir + "/" + file))
				require.Equal(t, opts == nil, strings.Contains(string(b), "hello") || strings.Contains(string(b), "world"))
			}
		})
	}
}

// codecsPerTopic is codecsOf, without what partitions but the first have.
func codecsPerTopic(t tester, disk *sim.Disk) map[string]uint8 {
	t.Helper()
	list := map[string]uint8{}
	for _, i := range dump(t, disk, 0) {
		if i.Kind == wal.DumpData && i.Entry.Partition == 0 {
			list[fmt.Sprintf("%s %d", i.Entry.Topic, i.Entry.Base)] = i.Entry.Codec
		}
	}
	return list
}

// Whatever is lost of the two copies of a dictionary, as long as one is sound all can be read; with
// neither it is an error that says so, no batch is given up for it, and all is back with a copy.
func TestDamagedDictionaries(t *testing.T) {
	harm := map[string]func(disk *sim.Disk, name string) error{
		"missing": func(d *sim.Disk, name string) error { return d.Delete(name) },
		"flipped": func(d *sim.Disk, name string) error { return d.FlipBit(name, 40, 3) },
		"empty":   func(d *sim.Disk, name string) error { return d.WriteFile(name, nil) },
		"another": func(d *sim.Disk, name string) error {
			for _, other := range names(d, ".dict") {
				if dataDir+"/"+other[:8] != name[:len(dataDir)+9] {
					b, err := d.ReadFile(dataDir + "/" + other)
					return errors.Join(err, d.WriteFile(name, b))
				}
			}
			return nil
		},
	}
	for name, harm := range harm {
		for _, opts := range [][]wal.Option{{withPrimable}, {withPrimable, withKeys}} {
			t.Run(fmt.Sprintf("%s %d", name, len(opts)), func(t *testing.T) {
				disk := dictionaryLog(t, opts...)
				files := dictionaryFiles(disk)
				one, two := dataDir+"/"+files[0], dataDir+"/"+files[1]
				sound := must(disk.ReadFile(one))

				require.NoError(t, harm(disk, two))
				requireReadable(t, disk, opts...)
				report := verify(t, disk, opts...)
				if name == "missing" {
					require.True(t, report.OK, "a crash may leave that")
					require.NoError(t, open(t, disk, opts...).Close())
				} else {
					require.Len(t, report.Damage, 1)
					require.Equal(t, files[1], report.Damage[0].Segment)
					require.Contains(t, report.Damage[0].Reason, "the other copy is sound")
					require.Zero(t, report.UncheckedBatches)
				}
				repair(t, disk)
				require.True(t, verify(t, disk, opts...).OK)

				require.NoError(t, disk.Delete(two))
				require.NoError(t, harm(disk, one))
				requireLostDictionary(t, disk, opts...)
				repair(t, disk)
				requireLostDictionary(t, disk, opts...)
				require.NoError(t, disk.WriteFile(two, sound))
				requireReadable(t, disk, opts...)
				repair(t, disk)
				require.True(t, verify(t, disk, opts...).OK)
			})
		}
	}
}

func requireReadable(t tester, disk *sim.Disk, opts ...wal.Option) {
	t.Helper()
	m := open(t, disk, append(opts, wal.WithReadOnly())...)
	requireWords(t, m)
	n := 0
	for _, err := range m.Replay(bg) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 5, n)
	require.NoError(t, m.Close())
}

// requireLostDictionary demands that a read stops at the first batch of a lost dictionary, and can go on behind.
func requireLostDictionary(t tester, disk *sim.Disk, opts ...wal.Option) {
	t.Helper()
	report := verify(t, disk, opts...)
	require.False(t, report.OK)
	require.Len(t, report.Damage, 2)
	for _, d := range report.Damage {
		require.Regexp(t, `\.dict$`, d.Segment)
		require.Contains(t, d.Reason, "1 batches cannot be read")
	}
	for _, more := range [][]wal.Option{nil, {wal.WithReadOnly(), wal.WithAllowDamage()}} {
		m := open(t, disk, append(opts, more...)...)
		p := lookup(t, m, "t", 0)
		lost := &wal.DictionaryError{}
		read := 0
		for r, err := range p.Read(bg, 0) {
			if err == nil {
				read++
				continue
			}
			require.Zero(t, r)
			require.ErrorAs(t, err, &lost)
			require.ErrorIs(t, err, wal.ErrDictionary)
			require.ErrorIs(t, err, wal.ErrDamaged)
		}
		from := lost.Next - 1
		require.EqualValues(t, lost.Offset, read)
		require.EqualValues(t, "t", lost.Topic)
		require.EqualValues(t, lost.Offset, from)
		if lost.Next < p.NextOffset() {
			require.NoError(t, readError(p, lost.Next))
		}
		require.NoError(t, m.Close())
	}
}

// Retention drops and recycles the segments that were there when a dictionary was set. The dictionary
// stays, also where what needs it was moved, and where it could not be decoded when it was.
func TestDictionariesOutliveSegments(t *testing.T) {
	for _, withDictionary := range []bool{true, false} {
		t.Run(fmt.Sprint(withDictionary), func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			m := open(t, disk, withPrimable, wal.WithSegmentSize(wal.MinSegmentSize), wal.WithRecycleLimit(2), wal.WithMoveLimit(64<<10))
			slow := partition(t, m, "t", 0)
			setDictionary(t, m, "t", "hello")
			must(slow.Append(bg, wordy("hello", 7)))
			require.NoError(t, m.Close())
			files := dictionaryFiles(disk)
			kept := must(disk.ReadFile(dataDir + "/" + files[0]))
			if !withDictionary {
				for _, file := range files {
					require.NoError(t, disk.Delete(dataDir+"/"+file))
				}
			}
			m = open(t, disk, withPrimable, wal.WithSegmentSize(wal.MinSegmentSize), wal.WithRecycleLimit(2), wal.WithMoveLimit(64<<10))
			fast := partition(t, m, "t", 1)
			for n := 0; slices.Contains(names(disk, ".wal"), "00000000000000000001.wal"); n++ {
				require.Less(t, n, 5000, "the batch was not moved")
				last := must(fast.Append(bg, big(3000, 'x')))
				require.NoError(t, fast.TruncateBefore(bg, last))
			}
			require.NotZero(t, m.Stats().MovedBytes)
			require.NoError(t, m.Close())
			require.NoError(t, disk.WriteFile(dataDir+"/"+files[0], kept))
			m = open(t, disk, withPrimable)
			values, _ := readAll(t, lookup(t, m, "t", 0))
			require.Equal(t, string(wordy("hello", 7).Value), values[0])
			require.NoError(t, m.Close())
		})
	}
}

// A crash at any moment: a dictionary is whole, or not used; what was acknowledged can be read, and
// the dictionary that is set last is in use if SetDictionary returned.
func TestCrashWhileDictionariesAreSet(t *testing.T) {
	work := func(disk *sim.Disk, opts ...wal.Option) (acked int, set bool) {
		m, err := tryOpen(disk, append(opts, withPrimable)...)
		if err != nil {
			return 0, false
		}
		defer m.Close()
		p := partition(t, m, "t", 0)
		for i, word := range []string{"hello", "hello", "world", "world"} {
			if i%2 == 1 {
				if _, err := m.SetDictionary(bg, "t", testDictionary(word)); err != nil {
					return acked, set
				}
				set = i == 3
			}
			if _, err := p.Append(bg, wordy(word, i)); err != nil {
				return acked, set
			}
			acked++
		}
		return acked, set
	}
	for _, opts := range [][]wal.Option{nil, {withKeys}} {
		whole := sim.New(sim.Options{})
		work(whole, opts...)
		for op := range whole.Ops() {
			disk := sim.New(sim.Options{Seed: uint64(op)})
			disk.CrashAt(op)
			acked, set := work(disk, opts...)
			disk.Crash()
			disk = crash(t, disk)
			m := open(t, disk, append(opts, withPrimable)...)
			p := partition(t, m, "t", 0)
			n := int64(0)
			for r, err := range p.Read(bg, 0) {
				require.NoError(t, err)
				require.Equal(t, string(wordy([]string{"hello", "hello", "world", "world"}[n], int(n)).Value), string(r.Value))
				n++
			}
			require.GreaterOrEqual(t, n, int64(acked))
			at := must(p.Append(bg, wordy("world", 9)))
			require.NoError(t, m.Close())
			if set {
				require.Equal(t, uint8(primedID), codecsOf(t, disk)[fmt.Sprintf("t %d", at)]&0x7f)
			}
			report := verify(t, disk, append(opts, withPrimable)...)
			require.Empty(t, report.Damage, "crash at operation %d", op)
		}
	}
}

// All logs of a data directory have the dictionary: those that there are, and those that come later.
func TestDictionariesOfSeveralLogs(t *testing.T) {
	for name, opts := range map[string][]wal.Option{
		"shards": {wal.WithShards(3)}, "dedicated": {wal.WithLayout(wal.LayoutDedicated)}, "encrypted": {wal.WithShards(2), withKeys},
	} {
		t.Run(name, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			opts := append(opts, withPrimable)
			m := open(t, disk, opts...)
			parts := int32(0)
			more := func(m *wal.Manager) {
				for range 4 {
					must(partition(t, m, "t", parts).Append(bg, wordy("hello", 0)))
					parts++
				}
			}
			must(partition(t, m, "t", 100).Append(bg, wordy("hello", 0)))
			setDictionary(t, m, "t", "hello")
			more(m)
			require.NoError(t, m.Close())
			m = open(t, disk, append(opts, wal.WithShards(5))...)
			more(m)
			require.NoError(t, m.Close())
			for _, i := range dump(t, disk, 0) {
				if i.Kind == wal.DumpData {
					require.Equal(t, i.Entry.Partition != 100, i.Entry.Codec&0x7f == primedID, i.Entry)
				}
			}
			require.True(t, verify(t, disk, opts...).OK)
		})
	}
}

// A log that becomes encrypted has the dictionary in use encrypted too before it uses it. A plain one never
// serves for an encrypted batch: who can write to the disk could change what that says.
func TestDictionariesBecomeEncrypted(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, withPrimable)
	must(partition(t, m, "t", 0).Append(bg, wordy("hello", 0)))
	setDictionary(t, m, "t", "hello")
	must(partition(t, m, "t", 0).Append(bg, wordy("hello", 1)))
	require.NoError(t, m.Close())
	files := dictionaryFiles(disk)
	plain := must(disk.ReadFile(dataDir + "/" + files[0]))
	m = open(t, disk, withPrimable, withKeys)
	must(partition(t, m, "t", 0).Append(bg, wordy("hello", 2)))
	require.NoError(t, m.Close())
	for _, file := range files {
		require.NotContains(t, string(must(disk.ReadFile(dataDir+"/"+file))), "hello")
	}
	require.Equal(t, uint8(0x80|primedID), codecsOf(t, disk)["t 2"])
	require.True(t, verify(t, disk, withPrimable, withKeys).OK)

	for _, file := range files { // a crash between the two renames leaves one as it was
		require.NoError(t, disk.WriteFile(dataDir+"/"+file, plain))
		require.NoError(t, open(t, disk, withPrimable, withKeys).Close())
		for _, file := range files {
			require.NotContains(t, string(must(disk.ReadFile(dataDir+"/"+file))), "hello")
		}
	}

	m = open(t, disk, withPrimable, wal.WithReadOnly())
	require.ErrorIs(t, readError(lookup(t, m, "t", 0), 1), wal.ErrKey)
	require.NoError(t, m.Close())
	m = open(t, disk, withPrimable, wal.WithReadOnly(), wal.WithKeys(newTestKeys('w')))
	require.ErrorIs(t, readError(lookup(t, m, "t", 0), 1), wal.ErrKey)
	require.NoError(t, m.Close())

	for _, file := range files {
		require.NoError(t, disk.WriteFile(dataDir+"/"+file, plain))
	}
	m = open(t, disk, withPrimable, withKeys, wal.WithReadOnly())
	n := 0
	for _, err := range lookup(t, m, "t", 0).Read(bg, 0) {
		if n++; n <= 2 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, wal.ErrNotEncrypted)
		}
	}
	require.Equal(t, 3, n)
	require.NoError(t, m.Close())
}

// Who reads beside the writer finds what was set after it opened the log.
func TestFollowerFindsDictionaries(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, withPrimable)
	p := partition(t, m, "t", 0)
	must(p.Append(bg, wordy("hello", 0)))
	reader := open(t, disk, withPrimable, wal.WithReadOnly())
	setDictionary(t, m, "t", "hello")
	must(p.Append(bg, wordy("hello", 1)))
	require.NoError(t, reader.Refresh(bg))
	values, _ := readAll(t, lookup(t, reader, "t", 0))
	require.Equal(t, string(wordy("hello", 1).Value), values[1])
	require.NoError(t, reader.Close())
	require.NoError(t, m.Close())
}

func TestSetDictionaryErrors(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, withPrimable)
	good := testDictionary("hello")
	for name, c := range map[string]struct {
		topic string
		data  []byte
	}{
		"topic": {"a/b", good}, "nothing": {"t", nil}, "other bytes": {"t", []byte("dictionary")},
		"too long": {"t", testDictionary(strings.Repeat("x", wal.MaxDictionary))},
	} {
		_, err := m.SetDictionary(bg, c.topic, c.data)
		require.ErrorIs(t, err, wal.ErrInvalid, name)
	}
	require.Empty(t, dictionaryFiles(disk))
	must(m.SetDictionary(bg, "t", good))
	_, err := m.SetDictionary(bg, "other", good)
	require.ErrorIs(t, err, wal.ErrInvalid, "it is that of t")
	require.EqualValues(t, 2, must(m.SetDictionary(bg, "t", good)).Number, "set again")
	disk.SetCapacity(disk.Used())
	_, err = m.SetDictionary(bg, "t", testDictionary("world"))
	require.ErrorIs(t, err, wal.ErrNoSpace)
	disk.SetCapacity(1 << 30)
	for n := 1; n < wal.MaxDictionaries; n++ {
		must(m.SetDictionary(bg, "t", testDictionary(fmt.Sprintf("%04d", n))))
	}
	_, err = m.SetDictionary(bg, "t", testDictionary("too many"))
	require.ErrorIs(t, err, wal.ErrInvalid)
	must(partition(t, m, "t", 0).Append(bg, record("x")))
	require.NoError(t, m.Close())
	_, err = m.SetDictionary(bg, "t", good)
	require.ErrorIs(t, err, wal.ErrClosed)
	m = open(t, disk, withPrimable, wal.WithReadOnly())
	_, err = m.SetDictionary(bg, "t", good)
	require.ErrorIs(t, err, wal.ErrReadOnly)
	require.NoError(t, m.Close())
}

// A copy of a dictionary that a crash, or somebody, took is made anew by the next open for writing.
func TestOpenMakesDictionariesWhole(t *testing.T) {
	disk := dictionaryLog(t)
	files := dictionaryFiles(disk)
	require.NoError(t, disk.Delete(dataDir+"/"+files[0]))
	require.NoError(t, disk.FlipBit(dataDir+"/"+files[3], 30, 0))
	require.Len(t, verify(t, disk, withPrimable).Damage, 1)
	require.NoError(t, open(t, disk, withPrimable).Close())
	require.Equal(t, files, dictionaryFiles(disk))
	require.True(t, verify(t, disk, withPrimable).OK)
}
