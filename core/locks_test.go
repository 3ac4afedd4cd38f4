package wal

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// The lock excludes, whatever the number of goroutines.
func TestFairLockExcludes(t *testing.T) {
	for _, std := range []bool{false, true} {
		l := newAppendLock(std)
		var wg sync.WaitGroup
		inside, count := atomic.Int32{}, 0
		for i := range 8 {
			wg.Go(func() {
				for j := range 2000 {
					if (i+j)%3 == 0 {
						for !l.TryLock() {
							runtime.Gosched()
						}
					} else {
						l.Lock()
					}
					if inside.Add(1) != 1 {
						t.Error("two hold the lock")
					}
					count++
					inside.Add(-1)
					l.Unlock()
				}
			})
		}
		wg.Wait()
		require.Equal(t, 16_000, count)
		require.True(t, l.TryLock())
		require.False(t, l.TryLock())
		l.Unlock()
	}
}

// Who comes first is served first, and TryLock overtakes nobody.
func TestFairLockIsFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newAppendLock(false)
		l.Lock()
		var order []int
		for i := range 50 {
			go func() {
				l.Lock()
				order = append(order, i)
				l.Unlock()
			}()
			synctest.Wait() // it stands in the row
		}
		require.Empty(t, order)
		require.False(t, l.TryLock())
		l.Unlock()
		synctest.Wait()
		require.Len(t, order, 50)
		for i, who := range order {
			require.Equal(t, i, who)
		}
	})
}

// Nobody starves: while one goroutine takes the lock again and again, another that asks
// for it gets it at the next change.
func TestFairLockServesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newAppendLock(false)
		l.Lock()
		got := false
		go func() {
			l.Lock()
			got = true
			l.Unlock()
		}()
		synctest.Wait()
		l.Unlock()
		l.Lock()
		require.True(t, got, "the one that waited came first")
		l.Unlock()
	})
}

// The time spent waiting is accounted for; a lock that is free costs none.
func TestAppendLockAccountsForWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newAppendLock(false)
		l.Lock()
		require.Zero(t, l.waited.Load())
		done := make(chan struct{})
		go func() {
			l.Lock()
			l.Unlock() //nolint:staticcheck // the order of the calls is what is looked at
			close(done)
		}()
		pass(t, 1000)
		l.Unlock()
		<-done
		require.EqualValues(t, 1000, l.waited.Load())
	})
}
