package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	wal "github.com/chronik-go/wal/core"
)

// RecoveryOptions say what the recovery benchmark does.
type RecoveryOptions struct {
	// Dir is a fresh directory.
	Dir string
	// Size is how many bytes of values to write first, in records of RecordSize.
	Size       int64
	RecordSize int
	// Crash kills the writer in place of closing the log.
	Crash bool
	// PageCache is what the open finds in the page cache: PageCacheWarm or PageCacheCold. Backends that
	// read past it take no notice.
	PageCache string
}

// Check says which option is out of its range.
func (o RecoveryOptions) Check() error { return checkFill(o.Size, o.RecordSize) }

// RecoveryResult is what the recovery benchmark prints.
type RecoveryResult struct {
	Bench      string `json:"bench"`
	Backend    string `json:"backend"`
	Shutdown   string `json:"shutdown"`
	RecordSize int    `json:"record_size"`
	Filled
	// Open is from the call of Open to a log that can be written, Replay from then until
	// every record was read. MBPerSecond is that of the replay.
	Open        float64 `json:"open_s"`
	Replay      float64 `json:"replay_s"`
	MBPerSecond float64 `json:"mb_per_s"`
	RSS         float64 `json:"rss_mb"`
	PageCache   string  `json:"page_cache"`
}

// The two steps of the benchmark, each a process of its own, so that the second starts
// with nothing in memory but the page cache.
const (
	StepFill = "fill"
	StepOpen = "open"
)

// Recovery writes a log, ends the writer and measures the next open. child makes the
// command that runs RecoveryStep for a step.
func Recovery(ctx context.Context, o RecoveryOptions, child func(ctx context.Context, step string) *exec.Cmd) (RecoveryResult, error) {
	var filled Filled
	if err := runStep(child(ctx, StepFill), &filled, o.Crash); err != nil {
		return RecoveryResult{}, stepError(ctx, StepFill, err)
	}
	if err := bring(o.Dir, o.PageCache); err != nil {
		return RecoveryResult{}, err
	}
	r := RecoveryResult{}
	if err := runStep(child(ctx, StepOpen), &r, false); err != nil {
		return RecoveryResult{}, stepError(ctx, StepOpen, err)
	}
	if r.Filled != filled {
		return RecoveryResult{}, fmt.Errorf("of %d records with %d bytes, all acknowledged, %d with %d came back: %w",
			filled.Records, filled.Bytes, r.Records, r.Bytes, wal.ErrDamaged)
	}
	r.Bench, r.RecordSize, r.PageCache, r.Shutdown = "recovery", o.RecordSize, o.PageCache, "clean"
	if o.Crash {
		r.Shutdown = "crash"
	}
	return r, nil
}

func stepError(ctx context.Context, step string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("the benchmark's process for the step %q: %w", step, err)
}

// runStep runs a child, reads its result and then waits for it, or kills it.
func runStep(cmd *exec.Cmd, result any, kill bool) error {
	stdin, err := cmd.StdinPipe() // open as long as this process lives
	if err != nil {
		return err
	}
	defer func() { _ = stdin.Close() }()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	line, readErr := bufio.NewReader(stdout).ReadBytes('\n')
	if kill && readErr == nil {
		err = cmd.Process.Kill()
		_ = cmd.Wait() // reports the kill
	} else {
		_ = stdin.Close() // it may have ended already
		err = cmd.Wait()
	}
	if err != nil {
		return childError(err, stderr.String())
	}
	if readErr != nil {
		return readErr
	}
	return json.Unmarshal(line, result)
}

// childError is the error of a process: what it said, or else how it ended.
func childError(ended error, stderr string) error {
	text := strings.TrimSpace(stderr)
	if text == "" {
		return ended
	}
	if _, message, ok := strings.Cut(text, ": "); ok { // the program's name comes first
		text = message
	}
	return errors.New(text)
}

// RecoveryStep is what a child of Recovery does: it writes its result, as a line of JSON,
// to out. The filling one then waits for the end of in before it closes the log.
func RecoveryStep(ctx context.Context, step string, o RecoveryOptions, opts []wal.Option, in io.Reader, out io.Writer) error {
	if step == StepFill {
		return fillStep(ctx, o, opts, in, out)
	}
	r, err := openStep(ctx, o, opts)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

func fillStep(ctx context.Context, o RecoveryOptions, opts []wal.Option, in io.Reader, out io.Writer) error {
	m, err := wal.Open(o.Dir, opts...)
	if err != nil {
		return err
	}
	filled, err := fill(ctx, m, o.Size, o.RecordSize)
	if err == nil {
		err = json.NewEncoder(out).Encode(filled)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	return errors.Join(err, m.Close())
}

func openStep(ctx context.Context, o RecoveryOptions, opts []wal.Option) (RecoveryResult, error) {
	begun := time.Now()
	m, err := wal.Open(o.Dir, opts...)
	if err != nil {
		return RecoveryResult{}, err
	}
	opened := time.Now()
	r := RecoveryResult{Backend: m.Backend()}
	m.Visit(ctx, func(entry wal.Entry, failed error) bool {
		r.Records++
		r.Bytes += int64(len(entry.Value))
		err = failed
		return err == nil
	})
	if err != nil {
		return RecoveryResult{}, errors.Join(err, m.Close())
	}
	replayed := time.Now()
	r.Open = round(opened.Sub(begun).Seconds(), 6)
	r.Replay = round(replayed.Sub(opened).Seconds(), 6)
	r.MBPerSecond = round(ratio(float64(r.Bytes), replayed.Sub(opened).Seconds()*1e6), 2)
	r.RSS = peakRSS()
	return r, m.Close()
}
