package crashdemo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// watched is what a writer reported about each partition.
type watched struct {
	acked     []int64 // records below are acknowledged
	intended  []int64 // a truncation before it was asked for
	truncated []int64 // and acknowledged
}

func newWatched(partitions int) *watched {
	return &watched{make([]int64, partitions), make([]int64, partitions), make([]int64, partitions)}
}

// total counts the acknowledged records of all partitions.
func (w *watched) total() (n int64) {
	for _, a := range w.acked {
		n += a
	}
	return n
}

// take takes in one line of a writer.
func (w *watched) take(line string) (what string, err error) {
	var partition int
	var offset int64
	if _, err := fmt.Sscanf(line, "%s %d %d", &what, &partition, &offset); err != nil || partition < 0 || partition >= len(w.acked) {
		return "", fmt.Errorf("writer said %q", line)
	}
	switch what {
	case ackedBelow:
		w.acked[partition] = max(w.acked[partition], offset)
	case truncateIntent:
		w.intended[partition] = max(w.intended[partition], offset)
	case truncatedTo:
		w.truncated[partition] = max(w.truncated[partition], offset)
	}
	return what, nil
}

// writer is a child process.
type writer struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Scanner
	stderr bytes.Buffer
}

func startWriter(c config) (*writer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &writer{cmd: exec.Command(self, c.args()...)}
	w.cmd.Stderr = &w.stderr
	if w.stdin, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.stdout = bufio.NewScanner(out)
	return w, w.cmd.Start()
}

// watch takes in everything that the writer says until its end; it calls each, with the
// kind of line, after each line.
func (w *writer) watch(state *watched, each func(what string)) error {
	for w.stdout.Scan() {
		what, err := state.take(w.stdout.Text())
		if err != nil {
			w.kill()
			return err
		}
		each(what)
	}
	return w.stdout.Err()
}

// kill sends SIGKILL. A writer that has ended by itself is none the worse for it.
func (w *writer) kill() { _ = w.cmd.Process.Kill() }

// wait returns how the writer ended: killed, or by itself without an error.
func (w *writer) wait() (killed bool, err error) {
	_ = w.stdin.Close() // it may be closed already
	err = w.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return true, nil
		}
	}
	if err != nil {
		return false, fmt.Errorf("writer failed: %w: %s", err, bytes.TrimSpace(w.stderr.Bytes()))
	}
	return false, nil
}
