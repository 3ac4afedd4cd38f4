package wal

import (
	"sync"
	"testing"
)

// BenchmarkAppendLock measures an append's way through the lock: a short critical section, then
// some work outside it, by 16 goroutines that each go on until the work is done.
func BenchmarkAppendLock(b *testing.B) {
	for _, std := range []bool{false, true} {
		name := map[bool]string{false: "fair", true: "std"}[std]
		b.Run(name, func(b *testing.B) {
			l := newAppendLock(std)
			var wg sync.WaitGroup
			shared, each := 0, b.N/16+1
			for range 16 {
				wg.Go(func() {
					own := 0
					for range each {
						l.Lock()
						for range 50 {
							shared++
						}
						l.Unlock()
						for range 200 {
							own++
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(l.waited.Load())/float64(b.N), "wait-ns/op")
		})
	}
}
