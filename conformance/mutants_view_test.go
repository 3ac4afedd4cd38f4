package conformance

import (
	"sync"

	"github.com/chronik-go/wal/core/backend"
)

func viewMutants() []mutant {
	list := []mutant{
		{breaks: "a view shows what stands elsewhere", check: "File/ViewsAreReads", hooks: hooks{
			view: func(f *brokenFile, off int64, n int, look func([]byte)) error {
				if off == block-1 {
					off++
				}
				return f.File.(backend.Viewer).View(off, n, look)
			}}},
		{breaks: "a view shows fewer bytes", check: "File/ViewsAreReads", hooks: hooks{
			view: func(f *brokenFile, off int64, n int, look func([]byte)) error {
				size, err := f.File.Size()
				if err != nil {
					return err
				}
				return f.File.(backend.Viewer).View(off, int(min(int64(n), max(0, size-off))), look)
			}}},
		{breaks: "Close takes away what is looked at", check: "File/ViewsStay", hooks: hooks{
			view: func(f *brokenFile, off int64, n int, look func([]byte)) error {
				return f.File.(backend.Viewer).View(off, n, func(data []byte) {
					f.mu.Lock()
					f.cache = data
					f.mu.Unlock()
					look(data)
				})
			},
			closeFile: func(f *brokenFile) error {
				f.mu.Lock()
				clear(f.cache)
				f.mu.Unlock()
				return f.File.Close()
			}}},
	}
	var guard sync.RWMutex
	list = append(list, mutant{breaks: "a call waits for a Close that waits for who calls", check: "Errors/CallsDoNotWaitForClose", hooks: hooks{
		view: func(f *brokenFile, off int64, n int, look func([]byte)) error {
			guard.RLock()
			defer guard.RUnlock()
			return f.File.(backend.Viewer).View(off, n, look)
		},
		size: func(f *brokenFile) (int64, error) {
			guard.RLock()
			defer guard.RUnlock()
			return f.File.Size()
		},
		closeFile: func(f *brokenFile) error {
			guard.Lock()
			defer guard.Unlock()
			return f.File.Close()
		}}})
	if viewUnguarded != nil {
		list = append(list, mutant{
			breaks: "a fault in what is looked at ends the process", check: "File/ViewsFailAlone", system: true,
			hooks: hooks{view: viewUnguarded},
		})
	}
	return list
}

// viewUnguarded is the View of a backend that maps files and does not expect a fault.
var viewUnguarded func(f *brokenFile, off int64, n int, look func([]byte)) error
