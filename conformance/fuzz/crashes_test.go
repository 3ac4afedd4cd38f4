package fuzz

import (
	"errors"
	"slices"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// crash takes the power away, or kills the process, and goes on with what is left. interrupt is
// after how many changes of the disk the first recovery is cut short.
func (w *world) crash(t tester, image sim.Image, interrupt int) {
	w.land(t)
	w.survive(t, image, interrupt)
}

// crashDuring lets so many changes of the disk happen while records are appended, segments
// rotate and old ones go, and then crashes.
func (w *world) crashDuring(t tester, changes int, image sim.Image, interrupt int) {
	w.resume()
	w.land(t)
	for i := range partitions { // the handles that it takes
		w.partition(t, i)
	}
	w.disk.CrashAt(changes)
	for i := 0; i < 12 && !w.disk.Crashed(); i++ {
		w.append(t, i, 1, 4+i%2, 0)
	}
	w.rotate()
	synctest.Wait()
	if !w.disk.Crashed() {
		w.disk.CrashAt(-1)
		return
	}
	for _, f := range w.flights {
		select {
		case err := <-f.done:
			if err == nil {
				w.landed(f)
			}
		default:
		}
	}
	w.survive(t, image, interrupt)
}

// survive goes on with what a crash leaves.
func (w *world) survive(t tester, image sim.Image, interrupt int) {
	after := w.disk.Image(image)
	if image.Mode == sim.Kill { // what is acknowledged is in the kernel's hands
		for _, h := range w.parts {
			h.durable = max(h.durable, h.acked, h.seen)
		}
	}
	w.abandon()
	w.disk = after
	first := w.disk
	if image.Mode != sim.Kill { // a power failure leaves nothing that is not durable
		first = w.disk.Clone()
	}
	found := w.recovered(t, first)
	all := map[*history]state{}
	for i, h := range w.parts {
		_, err := h.find(h.durable, found[i])
		require.NoError(t, err)
		all[h] = found[i]
	}
	w.requireWhole(t, all, func(h *history) int { return h.durable })
	w.transactions = nil
	for i, h := range w.parts {
		h.restart(found[i])
	}
	w.interrupt(t, interrupt)
	w.open(t)
	// What an open has served is durable, as it was.
	again := w.recovered(t, w.disk.Image(sim.Image{Mode: sim.DropAll}))
	require.True(t, slices.EqualFunc(found, again, state.equal), "then %v, now %v", found, again)
}

// abandon ends the goroutines of a log whose machine has crashed.
func (w *world) abandon() {
	w.disk.Crash()
	w.resume()
	if w.ro != nil {
		_ = w.ro.Close()
		w.ro = nil
	}
	_ = w.m.Close()
	for _, f := range w.flights {
		for range f.done { // until it is closed
		}
	}
	w.flights = nil
}

// interrupt begins recoveries that crash in the middle.
func (w *world) interrupt(t tester, n int) {
	w.disk.CrashAt(n)
	m, err := wal.Open(dataDir, w.options(w.disk)...)
	if err == nil {
		_ = m.Close() // crashes, unless there is little to do
	} else {
		require.ErrorIs(t, err, sim.ErrCrashed)
	}
	if w.disk.Crashed() {
		w.disk = w.disk.Image(sim.Image{Mode: sim.DropAll})
	}
	w.disk.CrashAt(-1)
}

// recovered opens the log of a disk read-only and reads all of it.
func (w *world) recovered(t tester, disk *sim.Disk) []state {
	list := make([]state, partitions)
	m, err := wal.Open(dataDir, append(w.options(disk), wal.WithReadOnly())...)
	if errors.Is(err, wal.ErrNotLog) {
		return list
	}
	require.NoError(t, err)
	for i := range list {
		if p, err := m.Lookup("t", int32(i)); err == nil {
			list[i], err = readState(p, w.parts[i].producer)
			require.NoError(t, err)
		}
	}
	require.NoError(t, m.Close())
	return list
}
