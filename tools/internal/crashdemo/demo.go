package crashdemo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	wal "github.com/chronik-go/wal/core"
)

// demo is one demonstration.
type demo struct {
	config
	opts  []wal.Option
	out   io.Writer
	lines [][]byte
	state *watched
}

// printf prints a line; that nobody reads it does not stop the demonstration.
func (d *demo) printf(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format+"\n", args...) }

// demonstrate kills a writer in the middle of its work and looks what is left.
func (c config) demonstrate(ctx context.Context, opts []wal.Option, out io.Writer) error {
	d := &demo{config: c, opts: opts, out: out, state: newWatched(c.partitions)}
	if err := d.prepareInput(); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{d.killHalfway, d.compare, d.verify, d.finish, d.verify} {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	d.printf("\nNothing that was acknowledged was lost, and nothing came back that was not written.")
	return nil
}

// prepareInput reads the text and puts it where the writer finds it.
func (d *demo) prepareInput() error {
	source := d.source
	if source == "" {
		dir, err := sourceDir()
		if err != nil {
			return err
		}
		source = dir
	}
	lines, err := readLines(source, d.config.lines)
	if err != nil {
		return err
	}
	d.lines = lines
	d.printf("input     %d lines of text from %s", len(lines), source)
	return os.WriteFile(d.input, append(bytes.Join(lines, []byte{'\n'}), '\n'), 0o600)
}

// killHalfway starts the writer and kills it when a random part of the lines, around
// one half, is acknowledged.
func (d *demo) killHalfway(context.Context) error {
	random := rand.New(rand.NewPCG(d.seed, 0))
	killAt := max(1, int64(float64(len(d.lines))*(0.3+0.4*random.Float64())))
	d.role = roleDemo
	w, err := startWriter(d.config)
	if err != nil {
		return err
	}
	begun := time.Now()
	var took time.Duration
	err = w.watch(d.state, func(string) {
		if took == 0 && d.state.total() >= killAt {
			took = time.Since(begun)
			w.kill()
		}
	})
	killed, waitErr := w.wait()
	if err := errors.Join(err, waitErr); err != nil {
		return err
	}
	how := "killed with SIGKILL"
	if !killed {
		how = "faster than the kill"
	}
	d.printf("writer    a process appends each line as a record of its own, over %d partitions,", d.partitions)
	d.printf("          and says which ones are acknowledged: %s after %v (seed %d)", how, took.Round(time.Millisecond), d.seed)
	d.printf("acked     %d records", d.state.total())
	return nil
}

// compare opens the log, as an application would after the crash, and compares each
// record with the line that was appended.
func (d *demo) compare(ctx context.Context) error {
	begun := time.Now()
	m, err := wal.Open(d.dir, d.opts...)
	if err != nil {
		return err
	}
	d.printf("opened    again, by backend %s, in %v", m.Backend(), time.Since(begun).Round(10*time.Microsecond))
	found, err := d.readAll(ctx, m)
	if err := errors.Join(err, m.Close()); err != nil {
		return err
	}
	d.printf("found     %d records: all %d that were acknowledged, byte for byte, and %d that",
		found, d.state.total(), found-d.state.total())
	d.printf("          were on their way: each whole, in order, without a gap")
	return nil
}

// readAll reads every partition and compares it with its lines; it returns how many
// records there are.
func (d *demo) readAll(ctx context.Context, m *wal.Manager) (found int64, err error) {
	for i, acked := range d.state.acked {
		p, err := m.Lookup(topic, int32(i))
		if errors.Is(err, wal.ErrNoPartition) && acked == 0 {
			continue
		}
		if err != nil {
			return found, fmt.Errorf("%w: partition %d, %d records acknowledged: %w", errLost, i, acked, err)
		}
		own, next := share(d.lines, i, d.partitions), int64(0)
		for r, err := range p.Read(ctx, 0) {
			switch {
			case err != nil:
				return found, fmt.Errorf("%w: partition %d: %w", errLost, i, err)
			case r.Offset != next || next >= int64(len(own)):
				return found, fmt.Errorf("%w: partition %d: a record at offset %d, not %d, of %d", errLost, i, r.Offset, next, len(own))
			case !bytes.Equal(r.Value, own[next]):
				return found, fmt.Errorf("%w: partition %d offset %d: %q in place of %q", errLost, i, next, r.Value, own[next])
			}
			next++
		}
		if next < acked {
			return found, fmt.Errorf("%w: partition %d ends at offset %d, acknowledged were %d", errLost, i, next, acked)
		}
		found += next
	}
	return found, nil
}

// verify checks every byte of the log.
func (d *demo) verify(ctx context.Context) error {
	report, err := wal.Verify(ctx, d.dir, d.opts...)
	if err != nil {
		return err
	}
	if !report.OK {
		return fmt.Errorf("verify: %w", &wal.DamageError{Damage: report.Damage})
	}
	d.printf("verified  %s with %s: no damage", count(int64(report.Segments), "segment"), count(report.Records, "record"))
	return nil
}

// count is a number of things.
func count(n int64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// finish appends the rest of the lines and compares all of them.
func (d *demo) finish(ctx context.Context) error {
	w, err := startWriter(d.config)
	if err != nil {
		return err
	}
	before := d.state.total()
	err = w.watch(d.state, func(string) {})
	killed, waitErr := w.wait()
	if err := errors.Join(err, waitErr); err != nil {
		return err
	}
	if killed {
		return errors.New("the second writer was killed by somebody else")
	}
	m, err := wal.Open(d.dir, append(d.opts, wal.WithReadOnly())...)
	if err != nil {
		return err
	}
	found, err := d.readAll(ctx, m)
	if err := errors.Join(err, m.Close()); err != nil {
		return err
	}
	if found != int64(len(d.lines)) {
		return fmt.Errorf("%w: %d records in the end, not %d", errLost, found, len(d.lines))
	}
	d.printf("appended  the rest, from where each partition ended: %d acks more", d.state.total()-before)
	d.printf("read      all %d lines: byte for byte the input", found)
	return nil
}
