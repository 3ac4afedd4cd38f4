package crashdemo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"time"

	wal "github.com/chronik-go/wal/core"
)

// kills is the kill test: rounds of killing a writer on one directory, each followed by a
// look at every record.
type kills struct {
	config
	opts   []wal.Option
	random *rand.Rand
	state  *watched
	// ends holds, for each partition, where the records of each round end: those of
	// round r lie from ends[p][r-1] on.
	ends    [][]int64
	killed  int
	closing int   // writers killed while they closed the log
	found   int64 // records read and compared, all rounds together
}

// killRounds runs the kill test and prints what came of it.
func (c config) killRounds(ctx context.Context, opts []wal.Option, out io.Writer) error {
	k := newKills(c, opts)
	if _, err := fmt.Fprintf(out, "kill test: %d rounds, backend %s, fsync %s, seed %d\n",
		c.kills, c.backend, c.fsync, c.seed); err != nil {
		return err
	}
	begun := time.Now()
	if err := k.rounds(ctx); err != nil {
		return err
	}
	each := time.Since(begun) / time.Duration(c.kills)
	_, err := fmt.Fprintf(out, "rounds     %d, %v each; %d writers killed, %d of them while they closed the log\n"+
		"acked      %d records\n"+
		"recovered  %d records in the end; %d compared, byte for byte, after the kills\n"+
		"lost       0\n",
		c.kills, each.Round(10*time.Microsecond), k.killed, k.closing, k.state.total(), k.total(), k.found)
	return err
}

func newKills(c config, opts []wal.Option) *kills {
	c.role = roleKill
	k := &kills{config: c, opts: killOptions(opts), random: rand.New(rand.NewPCG(c.seed, 1)),
		state: newWatched(killPartitions), ends: make([][]int64, killPartitions)}
	for i := range k.ends {
		k.ends[i] = []int64{0}
	}
	return k
}

// rounds runs all rounds; its error says how to run them again.
func (k *kills) rounds(ctx context.Context) error {
	for k.round = 1; k.round <= k.kills; k.round++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := k.killWriterSometime()
		if err == nil {
			err = k.check(ctx)
		}
		if err != nil {
			return fmt.Errorf("round %d: %w (%s; to repeat: wal-crashdemo -kills %d -seed %d -backend %s -fsync %s; "+
				"the seed settles what is written and when to kill, not what the scheduler does)",
				k.round, err, k.keep(), k.kills, k.seed, k.backend, k.fsync)
		}
	}
	return nil
}

// keep moves the log out of the temporary directory, and says where it is.
func (k *kills) keep() string {
	kept, err := os.MkdirTemp("", "wal-crashdemo-failed-")
	if err == nil {
		err = exec.Command("cp", "-a", k.dir, kept).Run()
	}
	if err != nil {
		return fmt.Sprintf("the log could not be kept: %v", err)
	}
	return "the log is kept in " + kept
}

// total counts the records that the log had, dropped ones included.
func (k *kills) total() (n int64) {
	for _, ends := range k.ends {
		n += ends[len(ends)-1]
	}
	return n
}

// The moments of a kill: so long after the start, which may be in the recovery; at some
// ack; so long after the writer was told to close the log.
const (
	killLatest     = 15 * time.Millisecond
	killAcks       = 60
	killCloseAfter = 4 * time.Millisecond
	writerTimeout  = time.Minute
)

// killWriterSometime starts a writer and kills it at a random moment.
func (k *kills) killWriterSometime() error {
	moment := k.random.IntN(8)
	delay := time.Duration(k.random.Int64N(int64(killLatest)))
	closeDelay := time.Duration(k.random.Int64N(int64(killCloseAfter)))
	atAck := 1 + k.random.IntN(killAcks)
	w, err := startWriter(k.config)
	if err != nil {
		return err
	}
	timers := killTimers{w: w}
	defer timers.stop()
	if moment < 3 {
		timers.killIn(delay)
	} else {
		timers.killIn(writerTimeout)
	}
	acks, closing := 0, false
	err = w.watch(k.state, func(what string) {
		closing = closing || what == writerClosing
		if what != ackedBelow || moment < 3 {
			return
		}
		if acks++; acks != atAck {
			return
		}
		if moment < 7 {
			w.kill()
			return
		}
		_ = w.stdin.Close()
		timers.killIn(closeDelay)
	})
	killed, waitErr := w.wait()
	if killed {
		k.killed++
	}
	if killed && closing {
		k.closing++
	}
	return errors.Join(err, waitErr)
}

// killTimers kill a writer some time from now.
type killTimers struct {
	w      *writer
	timers []*time.Timer
}

func (t *killTimers) killIn(d time.Duration) {
	t.timers = append(t.timers, time.AfterFunc(d, t.w.kill))
}

func (t *killTimers) stop() {
	for _, timer := range t.timers {
		timer.Stop()
	}
}

// check opens the log, mostly read-only so that the next writer is the one to recover it,
// and compares every record.
func (k *kills) check(ctx context.Context) error {
	opts := append([]wal.Option{}, k.opts...)
	if k.random.IntN(4) > 0 {
		opts = append(opts, wal.WithReadOnly())
	}
	m, err := wal.Open(k.dir, opts...)
	missing := errors.Is(err, wal.ErrNotLog) || errors.Is(err, fs.ErrNotExist)
	if missing && k.total() == 0 && k.state.total() == 0 {
		for i := range k.ends { // killed before the log came into being
			k.ends[i] = append(k.ends[i], 0)
		}
		return nil
	}
	if err != nil {
		return err
	}
	for i := range killPartitions {
		if err := k.checkPartition(ctx, m, i); err != nil {
			return errors.Join(fmt.Errorf("partition %d: %w", i, err), m.Close())
		}
	}
	return m.Close()
}

func (k *kills) checkPartition(ctx context.Context, m *wal.Manager, i int) error {
	ends := &k.ends[i]
	acked, before := k.state.acked[i], (*ends)[len(*ends)-1]
	p, err := m.Lookup(topic, int32(i))
	if errors.Is(err, wal.ErrNoPartition) && max(acked, before) == 0 {
		*ends = append(*ends, 0)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %d records were acknowledged: %w", errLost, acked, err)
	}
	first, next := p.FirstOffset(), p.NextOffset()
	switch {
	case next < acked:
		return fmt.Errorf("%w: it ends at offset %d, records below %d were acknowledged", errLost, next, acked)
	case next < before:
		return fmt.Errorf("%w: it ends at offset %d, an earlier open had served records below %d", errLost, next, before)
	case first < k.state.truncated[i] || first > max(k.state.intended[i], k.state.truncated[i]):
		return fmt.Errorf("%w: it begins at offset %d: truncated before %d, asked for %d", errLost, first, k.state.truncated[i], k.state.intended[i])
	}
	*ends = append(*ends, next)
	return k.compare(ctx, p, i, first, next)
}

// compare reads a partition from first to next.
func (k *kills) compare(ctx context.Context, p *wal.Partition, i int, first, next int64) error {
	var want []byte
	offset, round := first, 0
	for r, err := range p.Read(ctx, first) {
		if err != nil {
			return fmt.Errorf("%w: %w", errLost, err)
		}
		for offset >= k.ends[i][round] {
			round++
			if round == len(k.ends[i]) {
				return fmt.Errorf("%w: record at offset %d, the end is %d", errLost, r.Offset, next)
			}
		}
		want = killValueOf(want, k.seed, round, i, offset)
		if r.Offset != offset || !bytes.Equal(r.Value, want) {
			return fmt.Errorf("%w: the record at offset %d is not the one of round %d for offset %d", errLost, r.Offset, round, offset)
		}
		offset++
		k.found++
	}
	if offset != next {
		return fmt.Errorf("%w: reading ends at offset %d, not %d", errLost, offset, next)
	}
	return nil
}
