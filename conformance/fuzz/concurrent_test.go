package fuzz

import (
	"testing"
	"testing/synctest"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// FuzzConcurrent takes bytes for operations on a log whose disk completes what it is given
// when the bytes say so, and which crashes when they say so. After each of them what a reader
// sees is whole and acknowledged, and after each crash all is there that must be.
func FuzzConcurrent(f *testing.F) {
	for _, s := range []string{
		"\x00\x00\x00" + "\x00\x04\x00\x05\x07\x00\x01\x06\x03",
		"\x01\x12\x05" + "\x08\x00\x00\x04\x01\x05\x02\x02\x04\x0b\x33\x00\x0c\x02\x00\x07",
		"\x02\xff\x21" + "\x05\x10\x05\x20\x05\x30\x02\x08\x03\x01\x09\x02\x0a\x01\x06\x00\x0b\x07",
		"\x01\x10\x00" + "\x05\x14\x06\x07\x0f\x85\x05\x1f\x06\x20\x0f\x8b\x0f\x91\x05\x1f\x0f\xa3\x0f\xaf",
		"\x04\x12\x21" + "\x0d\x92\x08\x01\x0d\x9a\x2d\x8b\x07\x00\x0d\x00\x1d\x9f\x0f\x8b\x0d\xa3\x09\x02\x0f\x1d",
		"\x05\x31\x0a" + "\x07\x00\x00\x22\x00\x33\x01\x21\x0b\x10\x04\x00\x03\x02\x0d\x00\x07\x05",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 3 || len(b) > 120 {
			return
		}
		// Each step reads all that the log holds, in a few ways.
		guarded(t, 64<<20+16<<20*uint64(len(b)/2), func() {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, decodeSetup(b))
				defer w.abandon() // where it fails, else there is nothing left to end
				for b := b[3:]; len(b) >= 2; b = b[2:] {
					w.step(t, b[0], b[1])
					w.check(t)
				}
				w.close(t)
			})
		})
	})
}

func decodeSetup(b []byte) setup {
	pick := func(x byte, shift int, of ...int) int { return of[int(x>>shift)%len(of)] }
	return setup{
		mode:      []wal.FsyncMode{wal.FsyncAlways, wal.FsyncBatch, wal.FsyncPeriodic}[b[0]%3],
		depth:     pick(b[0], 2, 1, 2, 4, 4),
		alignment: pick(b[0], 4, 512, 4096),
		written:   b[0]&0x20 != 0,
		noWait:    b[0]&0xc0 == 0xc0,
		segment:   int64(pick(b[1], 0, 16, 32, 64, 16)) << 10,
		recycle:   pick(b[1], 2, 0, 1, 2, 1),
		move:      int64(pick(b[1], 4, 0, 1, 30<<10, 1)),
		shards:    pick(b[1], 6, 1, 1, 1, 2),
		dedicated: b[2]&0x0f == 1,
		seed:      uint64(b[2]),
	}
}

// The operations that a byte stands for. Some stand there more often than others.
const stepKinds = 16

// step carries out what two bytes say.
func (w *world) step(t *testing.T, kind, x byte) {
	part := int(kind>>4) % partitions
	switch kind % stepKinds {
	case 0, 1, 2:
		w.append(t, part, 1+int(x>>6), int(x%8), 0)
	case 3:
		w.appendOnce(t, part, 1+int(x>>6), int(x%8), x&0x08 != 0)
	case 4:
		w.append(t, part, 1, int(x%4), int64(x>>2))
	case 5:
		for range 5 + x%16 {
			w.append(t, part, 1, int(x>>5), 0)
		}
	case 6:
		w.truncateBefore(t, part, int64(x))
	case 7:
		w.truncateAfter(t, part, int64(x%64))
	case 8:
		w.stall(int(x % 8))
	case 9:
		w.disk.Complete(int(x % 8))
	case 10:
		w.resume()
	case 11:
		w.rotate()
	case 12:
		w.sync()
	case 13:
		if x >= 128 {
			w.transact(t, part, 2+int(x>>3)%4, int(x%8))
			return
		}
		w.look(t)
	case 14:
		if x%4 == 0 {
			w.reopen(t)
			return
		}
		w.badInput(t, part)
	case 15:
		image := sim.Image{Mode: sim.Mode(x % 6), N: int(x >> 3), Seed: uint64(x), Torn: x&8 != 0, Garbage: x&16 != 0}
		if x >= 128 {
			w.crashDuring(t, int(x%64), image, int(x>>4))
			return
		}
		w.crash(t, image, int(x>>4))
	}
}
