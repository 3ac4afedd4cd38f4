package bench

import (
	"context"
	"time"

	wal "github.com/chronik-go/wal/core"
)

// pending is an append that is not acknowledged yet.
type pending struct {
	ack   wal.Ack
	begun time.Time
}

// producer keeps up to cap(pending) appends outstanding on one partition.
type producer struct {
	partition *wal.Partition
	id        int
	latencies *latencies
	batches   [][]wal.Record // its appends, one after the other and over again
	pending   []pending
}

// run appends as long as more says so, and waits for the acks.
func (p *producer) run(more func() bool) error {
	size := len(p.batches[0])
	for i := 0; more(); i++ {
		records := p.batches[i%len(p.batches)]
		if len(p.pending) == cap(p.pending) {
			if err := p.collect(); err != nil {
				return err
			}
		}
		begun := time.Now()
		if cap(p.pending) == 1 {
			// Nothing else to do meanwhile: the call that waits is the cheaper one.
			if _, err := p.partition.Append(context.Background(), records...); err != nil {
				return err
			}
			p.latencies.observe(p.id, time.Since(begun), size)
			continue
		}
		ack, err := p.partition.AppendAsync(context.Background(), records...)
		if err != nil {
			return err
		}
		p.pending = append(p.pending, pending{ack, begun})
	}
	for len(p.pending) > 0 {
		if err := p.collect(); err != nil {
			return err
		}
	}
	return nil
}

// until is true until stop is closed.
func until(stop <-chan struct{}) func() bool {
	return func() bool {
		select {
		case <-stop:
			return false
		default:
			return true
		}
	}
}

// collect waits for the oldest append and takes with it those that are acknowledged by
// then, so that no ack is noticed later than need be.
func (p *producer) collect() error {
	if err := p.pending[0].ack.Wait(context.Background()); err != nil {
		return err
	}
	now, next := time.Now(), p.partition.NextOffset()
	done, size := 0, len(p.batches[0])
	for i, a := range p.pending {
		if i > 0 && a.ack.Offset()+int64(size) > next {
			break
		}
		if err := a.ack.Wait(context.Background()); err != nil {
			return err
		}
		p.latencies.observe(p.id, now.Sub(a.begun), size)
		done++
	}
	p.pending = p.pending[:copy(p.pending, p.pending[done:])]
	return nil
}
