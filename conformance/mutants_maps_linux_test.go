package conformance

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/chronik-go/wal/core/backend"
)

// leakMemory leaves a mapping that lies beside the last one, and becomes one with it.
func leakMemory(size int) {
	_, _ = unix.Mmap(-1, 0, size, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON) // a mutant may fail to leak
}

// mappingMutants leave mappings, each less than a round may take of memory.
func mappingMutants() []mutant {
	return []mutant{
		{breaks: "a failed Open leaves memory", check: "Errors/FailuresLeaveNothing", system: true, hooks: hooks{
			open: func(d *brokenDir, name string) (backend.File, error) {
				f, err := d.Dir.Open(name)
				if err != nil {
					leakMemory(16 << 10)
				}
				return f, err
			}}},
		{breaks: "Close of a File leaves memory", check: "Errors/CloseLeavesNothing", system: true, hooks: hooks{
			closeFile: func(f *brokenFile) error {
				leakMemory(8 << 10)
				return f.File.Close()
			}}},
		{breaks: "a file stays mapped", check: "Errors/CloseLeavesNothing", system: true, hooks: hooks{
			create: func(d *brokenDir, name string, size int64) (backend.File, error) {
				f, err := d.Dir.Create(name, size)
				if err != nil {
					return nil, err
				}
				if own, err := os.Open(filepath.Join(d.path, name)); err == nil {
					_, _ = unix.Mmap(int(own.Fd()), 0, block, unix.PROT_READ, unix.MAP_SHARED)
					_ = own.Close() // what is mapped needs it no more
				}
				return f, nil
			}}},
	}
}
