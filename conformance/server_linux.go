//go:build !386 && !arm

package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/chronik-go/wal/conformance/internal/blockdisk"
	"github.com/chronik-go/wal/conformance/internal/faultfs"
	"github.com/chronik-go/wal/conformance/internal/writer"
)

// A server is a process that answers the kernel through FUSE. It is never the process that
// uses what it serves, and has a mount namespace of its own in which nothing else is mounted.
// Else its death could unmount a file system that stands on it, and the kernel would wait for
// answers from the process that it is burying: for ever, with every loop device on the
// machine. Others reach its mount through /proc/PID/root. It ends when its input does.

// serveTask is what a server serves, and where.
type serveTask struct {
	Kind string
	Dir  string
	// Page is the path of the ack page.
	Page string
	// Size is that of a disk.
	Size int64
}

// serve serves until the input of the process ends.
func serve(k *serveTask) error {
	pipe := stdio{os.Stdin, os.Stdout}
	server := rpc.NewServer()
	switch k.Kind {
	case "disk":
		page, err := writer.OpenPage(k.Page)
		if err != nil {
			return err
		}
		d := blockdisk.New(k.Size, page)
		if err := errors.Join(server.RegisterName("Server", d), d.Mount(k.Dir)); err != nil {
			return err
		}
		server.ServeConn(pipe)
		d.Settle()
		return nil
	case "faults":
		fs, err := faultfs.New(k.Dir)
		if err != nil {
			return err
		}
		if err := server.RegisterName("Server", fs); err != nil {
			return err
		}
		server.ServeConn(pipe)
		return nil
	}
	return fmt.Errorf("there is no server of kind %q", k.Kind)
}

type stdio struct {
	io.Reader
	io.WriteCloser
}

// server is the other end: a process that serves.
type server struct {
	*rpc.Client
	// dir is where to find what it serves.
	dir    string
	cmd    *exec.Cmd
	stderr *strings.Builder
}

// startServer starts a server, and waits until it serves.
func (s *suite) startServer(ctx context.Context, k serveTask) (*server, error) {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMissing, err)
	}
	_ = f.Close()
	// Not with ctx: it ends by itself, after those that use it.
	cmd, stderr, err := s.process(context.WithoutCancel(ctx), task{Serve: &k})
	if err != nil {
		return nil, err
	}
	if err := isolate(cmd); err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	v := &server{
		Client: rpc.NewClient(stdio{out, in}), cmd: cmd, stderr: stderr,
		dir: filepath.Join("/proc", fmt.Sprint(cmd.Process.Pid), "root", k.Dir),
	}
	if err := v.Call("Server.Ready", blockdisk.Nothing{}, &blockdisk.Nothing{}); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// Close lets the server end.
func (v *server) Close() error {
	_ = v.Client.Close() // it may have broken already
	if err := v.cmd.Wait(); err != nil {
		return fmt.Errorf("server: %w: %s", err, v.stderr)
	}
	return nil
}

// noPrivilege says whether an error means that this machine does not let us.
func noPrivilege(err error) bool {
	for _, e := range []error{syscall.EPERM, syscall.ENODEV, exec.ErrNotFound, syscall.ENOENT, errMissing} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
