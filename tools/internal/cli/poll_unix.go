//go:build unix

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// polledReader reads a file, and stops when a context ends even while there is nothing
// to read: a plain read of a terminal or pipe could not be called off.
type polledReader struct {
	ctx        context.Context
	file       *os.File
	wake, done *os.File // a pipe that is closed at the writing end when ctx ends
	cancel     func() bool
}

// untilDone returns a reader of file that fails with ctx's error when ctx ends. What
// it returns besides frees the reader.
func untilDone(ctx context.Context, file *os.File) (io.Reader, func(), error) {
	wake, done, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read standard input: %w", err)
	}
	p := &polledReader{ctx: ctx, file: file, wake: wake, done: done}
	p.cancel = context.AfterFunc(ctx, func() { done.Close() })
	return p, p.close, nil
}

func (p *polledReader) Read(b []byte) (int, error) {
	fds := []unix.PollFd{
		{Fd: int32(p.file.Fd()), Events: unix.POLLIN},
		{Fd: int32(p.wake.Fd()), Events: unix.POLLIN},
	}
	for {
		_, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("cannot read standard input: %w", err)
		}
		if fds[1].Revents != 0 {
			return 0, context.Cause(p.ctx)
		}
		return p.file.Read(b)
	}
}

func (p *polledReader) close() {
	if p.cancel() {
		p.done.Close()
	}
	p.wake.Close()
}
