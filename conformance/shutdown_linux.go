package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/conformance/internal/loopfs"
)

func init() {
	for name, kind := range map[string]string{"ShutdownExt4": "ext4", "ShutdownXFS": "xfs"} {
		layers[name] = func(ctx context.Context, s *suite, k *hostTask, r *report) error {
			return shutdownLayer(ctx, s, k, r, name, kind)
		}
	}
}

// shutdownSize is the size of the file system: xfs takes no less than 300 MB.
const shutdownSize = 320 << 20

// shutdownLayer runs writers on a real file system and shuts it down under them.
func shutdownLayer(ctx context.Context, s *suite, k *hostTask, r *report, name, kind string) (err error) {
	dir, err := os.MkdirTemp(*flagDir, "shutdown-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fs, err := loopfs.Make(dir, loopfs.Options{Kind: kind, Size: shutdownSize})
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENODEV) || errors.Is(err, exec.ErrNotFound) || errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fs.Close()) }()
	c, err := newCycles(s, "Crash/"+name, fs.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	c.crash = func(cmd *exec.Cmd, sample func() error) error {
		return powerFailure(fs, c.random, &c.soon, cmd, sample)
	}
	c.crashFails = true // its disk is gone before it is
	if err := c.run(ctx, k.Seed, k.States); err != nil {
		r.Violations = append(r.Violations, err.Error())
	}
	r.States, r.Distinct = c.states, len(c.outcomes)
	return nil
}

// powerFailure shuts the file system down under a writer and mounts it again. A sync that is
// under way then may return without having done anything: what counts is what was
// acknowledged before.
func powerFailure(fs *loopfs.FS, random *rand.Rand, soon *bool, cmd *exec.Cmd, sample func() error) error {
	switch random.IntN(6) {
	case 0, 1:
		if err := writeBackSome(fs.Dir, random); err != nil {
			return err
		}
	case 2: // only the writer dies; the next one recovers what nobody ever synced
		*soon = random.IntN(2) == 0
		return kill(cmd)
	}
	if err := sample(); err != nil {
		return err
	}
	if err := fs.Shutdown(); err != nil {
		return err
	}
	_ = cmd.Process.Kill() // it may have ended with an error already
	return errors.Join(fs.Unmount(), fs.Mount())
}

// writeBackSome has the kernel write some pages of the log and not those before them: after a
// crash later data may be there and earlier data not.
func writeBackSome(root string, random *rand.Rand) error {
	files, err := filepath.Glob(filepath.Join(root, "log-*", "*.wal"))
	if err != nil {
		return err
	}
	for _, name := range files {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			continue // it was dropped meanwhile
		}
		info, err := f.Stat()
		if err == nil {
			for range 50 {
				page := random.Int64N(info.Size()/4096+1) * 4096
				_ = unix.SyncFileRange(int(f.Fd()), page, 4096, unix.SYNC_FILE_RANGE_WRITE) // only to stir
			}
		}
		_ = f.Close()
	}
	return nil
}
