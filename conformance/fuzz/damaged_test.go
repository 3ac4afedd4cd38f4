package fuzz

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// FuzzRecovery takes bytes for a description of damage to a valid log of several segments. No
// damage makes recovery panic, hang, take much memory, or return what was not appended; and
// as long as the log's close marker is whole nothing is missing without an error.
func FuzzRecovery(f *testing.F) {
	for base := range byte(len(bases)) {
		for kind := range byte(damageKinds) {
			f.Add([]byte{base, kind, 0, 0x10, 0x41, 7})
			f.Add([]byte{base, kind, 1, 0x00, 0x05, 1, kind, 2, 0x20, 0x00, 9})
		}
	}
	f.Add([]byte{0, cutFile, 6, 0x20, 0, 0}) // the end of a closed log is missing
	f.Add([]byte{0, deleteFile, 6, 0, 0, 0})
	f.Add([]byte{0, flipBit, 3, 0x14, 0, 0, flipBit, 3, 0x38, 0xff, 0}) // a frame and the footer
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 1 || len(b) > 1+20*damageSize {
			return
		}
		log := bases[int(b[0])%len(bases)].get(t)
		disk := log.disk.Clone()
		d := &damager{disk: disk}
		for b = b[1:]; len(b) >= damageSize; b = b[damageSize:] {
			d.damage(t, b)
		}
		guarded(t, 256<<20, func() { log.recover(t, disk, d.displaced) })
	})
}

// damageSize is how many bytes describe one damage: kind, file, offset 2, length or bit, and
// another file or content.
const damageSize = 5

// The kinds of damage.
const (
	flipBit = iota
	cutFile
	zeroRange
	fillRange
	swapFiles
	copyFile
	deleteFile
	growFile
	misdirect
	damageKinds
)

// segmentNumbers are those that a file may get by copyFile. A repair makes each segment anew
// that is missing in a row, up to a limit: near and beyond it is enough.
var segmentNumbers = []uint64{1, 2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 30, 2_000_000, math.MaxInt64, math.MaxUint64}

type damager struct {
	disk *sim.Disk
	// displaced: files have the content of others. What is then found in them depends on
	// what else is damaged.
	displaced bool
}

// damage carries out the damage that the first bytes of b describe.
func (d *damager) damage(t *testing.T, b []byte) {
	names := d.disk.Files(dataDir)
	if len(names) == 0 {
		return
	}
	path := func(x byte) string { return dataDir + "/" + names[int(x)%len(names)] }
	name, other := path(b[1]), path(b[4])
	file, err := d.disk.ReadFile(name)
	require.NoError(t, err)
	// Offsets are in units of 1 to 64 bytes, so that two bytes reach all of a file.
	at := (int64(b[2])<<8 | int64(b[3])) * int64(1+len(file)>>16) % int64(len(file)+1)
	n := min(int64(1)<<(b[4]%14), int64(len(file))-at)
	switch b[0] % damageKinds {
	case flipBit:
		if n > 0 {
			require.NoError(t, d.disk.FlipBit(name, at, int(b[4])))
		}
	case cutFile:
		require.NoError(t, d.disk.Truncate(name, at))
	case zeroRange:
		require.NoError(t, d.disk.Zero(name, at, n))
	case fillRange:
		require.NoError(t, d.disk.Overwrite(name, at, slices.Repeat([]byte{b[4]}, int(n))))
	case swapFiles:
		d.displaced = true
		second, err := d.disk.ReadFile(other)
		require.NoError(t, err)
		require.NoError(t, d.disk.WriteFile(name, second))
		require.NoError(t, d.disk.WriteFile(other, file))
	case copyFile: // over another one, or as the segment of another number
		d.displaced = true
		if b[3]&1 == 1 {
			other = fmt.Sprintf("%s/%020d.wal", dataDir, segmentNumbers[int(b[4])%len(segmentNumbers)])
		}
		require.NoError(t, d.disk.WriteFile(other, file))
	case deleteFile:
		require.NoError(t, d.disk.Delete(name))
	case growFile:
		require.NoError(t, d.disk.Truncate(name, int64(len(file))+int64(b[3])<<(b[4]%8)))
	case misdirect: // a block that was written to the wrong place
		const block = 512
		from, to := at/block*block, int64(b[4])*block
		if from+block <= int64(len(file)) && to+block <= int64(len(file)) {
			require.NoError(t, d.disk.Misdirect(name, from, to, block))
		}
	}
}

// whole is a valid log and what is in it.
type whole struct {
	disk *sim.Disk
	// live is what the log holds, by partition and offset; ever all that was appended.
	live map[string]map[int64]string
	ever map[string]map[int64][]string
	// marker is the content of the close marker; nil if the log was not closed.
	marker []byte
}

// bases are the logs that get damaged; each is made when it is first needed.
var bases = []*base{{closed: true}, {closed: false}}

type base struct {
	closed bool
	once   sync.Once
	log    *whole
}

// get makes the log in a bubble, where the background work after each step is done before the
// next one: so it is the same log in every process, but for what is random in it.
func (b *base) get(t *testing.T) *whole {
	b.once.Do(func() {
		synctest.Test(t, func(*testing.T) { b.log = makeWhole(b.closed) })
	})
	return b.log
}

// makeWhole writes a log with truncations, gaps, moved records and recycled files. All its
// partitions are declared in each segment that is left.
func makeWhole(closeIt bool) *whole {
	w := &whole{disk: sim.New(sim.Options{NoTrace: true}), live: map[string]map[int64]string{}, ever: map[string]map[int64][]string{}}
	m := must(wal.Open(dataDir, smallLog(w.disk, wal.WithRecycleLimit(1), wal.WithMoveLimit(1))...))
	part := func(i int32) *wal.Partition { return must(m.Partition("t", i)) }
	w.append(part(3), -1, 40) // lags, and gets moved
	for i := range 60 {
		for p := range int32(3) {
			w.append(part(p), -1, 100+i%7*60)
		}
		switch i {
		case 20:
			w.truncate(part(0), 15, -1)
			w.truncate(part(2), 18, -1)
			w.truncate(part(1), 19, -1)
		case 25:
			w.append(part(1), part(1).NextOffset()+4, 10)
		case 30:
			w.truncate(part(2), -1, 25)
		case 40:
			w.truncate(part(0), -1, 30)
			w.append(part(3), -1, 10)
		}
	}
	if closeIt {
		check(m.Close())
		w.marker = must(w.disk.ReadFile(dataDir + "/close.marker"))
		return w
	}
	open := w.disk
	w.disk = open.Clone()
	open.Crash()
	_ = m.Close() // of a dead machine: only to end the goroutines
	return w
}

func (w *whole) append(p *wal.Partition, at int64, size int) {
	name := p.String()
	if w.live[name] == nil {
		w.live[name], w.ever[name] = map[int64]string{}, map[int64][]string{}
	}
	value := fmt.Sprintf("%s at %d, size %d", name, len(w.ever[name]), size) + strings.Repeat(".", size)
	ack := must(p.AppendAt(bg, max(at, p.NextOffset()), wal.Record{Value: []byte(value)}))
	check(ack.Wait(bg))
	synctest.Wait()
	w.live[name][ack.Offset()] = value
	w.ever[name][ack.Offset()] = append(w.ever[name][ack.Offset()], value)
}

// truncate cuts a partition off before or after an offset, unless that is -1.
func (w *whole) truncate(p *wal.Partition, before, after int64) {
	if before >= 0 {
		check(p.TruncateBefore(bg, before))
	}
	if after >= 0 {
		check(p.TruncateAfter(bg, after))
	}
	synctest.Wait()
	for offset := range w.live[p.String()] {
		if offset < before || after >= 0 && offset > after {
			delete(w.live[p.String()], offset)
		}
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
