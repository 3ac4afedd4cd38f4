package walv0

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"
)

// A migration writes to TARGET.migrating, beside its target:
//
//	source.json   what it is a migration of
//	data          what will be the target
//
// When all of that is written, durable and verified, data gets the target's name, by one rename. So a
// target is whole or not there, and holds nothing that is not part of it. What data holds is the only
// record of how far the migration has come.
const (
	stagingSuffix = ".migrating"
	stagingState  = "source.json"
	stagingTmp    = "source.json.tmp"
	stagingData   = "data"
)

type staging struct {
	target, dir, data string
	lock              backend.Dir
}

// goal is what is migrated, which way, and what else decides the result: what is left of a migration with
// another one is not gone on with, or it would be half of each.
type goal struct {
	To string `json:"to"`
	// Storage is how a v1 log has the records; nothing of v0.
	Storage      wal.Storage     `json:"storage"`
	AcceptBadCRC bool            `json:"accept_bad_crc"`
	AcceptLost   bool            `json:"accept_lost"`
	Renumber     []string        `json:"renumber"`
	Partitions   []goalPartition `json:"partitions"`
}

type goalPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Records   int64  `json:"records"`
	Next      int64  `json:"next_offset"`
	// Digest is over all records; see digest.
	Digest string `json:"digest"`
}

// goalOf is what a migration of these partitions is to.
func goalOf(to string, stored wal.Storage, o Options, parts []Partition) goal {
	g := goal{
		To: to, Storage: stored, AcceptBadCRC: o.AcceptBadCRC, AcceptLost: o.AcceptLost,
		Renumber: slices.Sorted(slices.Values(o.Renumber)),
	}
	for _, p := range parts {
		if p.digest.records > 0 { // one without is nowhere
			g.Partitions = append(g.Partitions, goalPartition{
				p.Topic, p.Partition, p.digest.records, p.digest.next, fmt.Sprintf("%016x", p.digest.sum),
			})
		}
	}
	return g
}

// direction is what Import and Export each do in their own way.
type direction interface {
	// write writes to a directory what is not there yet, and verify compares all of it with the source.
	write(ctx context.Context, dir string) error
	verify(ctx context.Context, dir string) error
	// unchanged returns an error if the source is not what it was when it was read.
	unchanged(ctx context.Context) error
	// foreign is the error for a target that is there and does not verify, and why.
	foreign(why error) error
}

// migrate writes a target that is not there, and looks at one that is.
func migrate(ctx context.Context, to string, g goal, report *Report, d direction) error {
	free, err := targetIsFree(to)
	if err != nil {
		return err
	}
	if !free {
		if err := d.verify(ctx, to); err != nil {
			return d.foreign(err)
		}
		report.Done = true
		return cleanUp(to, g)
	}
	staging, resumed, err := openStaging(to, g)
	if err != nil {
		return err
	}
	report.Resumed = resumed
	if err = d.write(ctx, staging.data); err == nil {
		err = d.verify(ctx, staging.data)
	}
	if err == nil {
		err = d.unchanged(ctx)
	}
	if err != nil {
		return errors.Join(err, staging.close())
	}
	report.Done = true
	return staging.finish()
}

// openStaging makes the directory that a migration writes to, or finds what another run left there.
func openStaging(target string, g goal) (s *staging, resumed bool, err error) {
	target = filepath.Clean(target)
	s = &staging{target: target, dir: target + stagingSuffix}
	s.data = filepath.Join(s.dir, stagingData)
	if err := makeDirs(s.dir); err != nil {
		return nil, false, err
	}
	b, _, err := backend.Auto()
	if err != nil {
		return nil, false, err
	}
	if s.lock, err = b.OpenDir(s.dir, backend.DirOptions{}); err != nil {
		return nil, false, err
	}
	if err = s.lock.Lock(); err == nil {
		resumed, err = s.begin(g)
	}
	if err != nil {
		return nil, false, errors.Join(err, s.lock.Close())
	}
	return s, resumed, nil
}

// begin states the goal, or finds it stated.
func (s *staging) begin(g goal) (resumed bool, err error) {
	want, err := json.Marshal(g)
	if err != nil {
		return false, err
	}
	state := filepath.Join(s.dir, stagingState)
	is, err := os.ReadFile(state)
	if err == nil {
		if !bytes.Equal(is, want) {
			return false, fmt.Errorf("%w: %s is of another migration, or of this one with other options or flags, or its source changed: "+
				"remove it to begin again, or run it as it was begun", ErrForeign, s.dir)
		}
		return true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	names, err := s.lock.List()
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if name != stagingTmp {
			return false, fmt.Errorf("%w: %s was not made by a migration", ErrForeign, s.dir)
		}
	}
	tmp := filepath.Join(s.dir, stagingTmp)
	if err := writeDurably(tmp, want); err != nil {
		return false, err
	}
	if err := os.Rename(tmp, state); err != nil {
		return false, err
	}
	return false, s.lock.Sync()
}

// finish gives what was written the target's name.
func (s *staging) finish() error {
	if err := os.Rename(s.data, s.target); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(s.target)); err != nil {
		return err
	}
	return s.remove()
}

// remove takes away what is left when the target is there.
func (s *staging) remove() error {
	for _, name := range []string{stagingState, stagingTmp} {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(err, s.lock.Close())
		}
	}
	return errors.Join(s.lock.Close(), os.Remove(s.dir))
}

// close leaves what there is for the next run.
func (s *staging) close() error { return s.lock.Close() }

// cleanUp removes what a run left that was killed when its target was there already.
func cleanUp(target string, g goal) error {
	target = filepath.Clean(target)
	if !isDir(target+stagingSuffix) || isDir(target+stagingSuffix, stagingData) {
		return nil
	}
	s, _, err := openStaging(target, g)
	if err != nil {
		return err
	}
	return s.remove()
}

// targetIsFree reports whether nothing is in the way of a target. An empty directory is not: it goes.
func targetIsFree(target string) (bool, error) {
	entries, err := os.ReadDir(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil || len(entries) > 0:
		return false, err
	}
	if err := os.Remove(target); err != nil {
		return false, fmt.Errorf("the target has to be replaced, so it can be no mount point: name a directory in it: %w", err)
	}
	return true, nil
}

// makeDirs makes a directory and those above it that are missing, all durable.
func makeDirs(dir string) error {
	if isDir(dir) {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := makeDirs(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func writeDurably(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes names in a directory durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // a directory that is opened for reading cannot be synced there
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
