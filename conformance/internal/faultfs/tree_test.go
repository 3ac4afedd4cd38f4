package faultfs

import (
	"bytes"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func sectors(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n*sector) }

// file makes a directory with one file, both durable.
func file() (root, f *node) {
	root = &node{ino: 1, isDir: true, entries: map[string]*node{}, durable: map[string]*node{}}
	f = &node{ino: 2}
	root.move(move{come: "f", node: f})
	root.syncNames(1)
	return root, f
}

func left(root *node, l Loss, seed uint64) *node {
	r, _ := crashed(root, Crash{Loss: l, Seed: seed})
	return r
}

// What was synced survives every crash; what was not survives none that takes everything.
func TestSyncedSurvives(t *testing.T) {
	root, f := file()
	f.change(change{data: sectors(1, 4)})
	f.sync(f.seq)
	f.change(change{off: 2 * sector, data: sectors(2, 4)})
	f.change(change{off: 10 * sector})
	for l := range Losses {
		for seed := range uint64(50) {
			got := left(root, l, seed).entries["f"]
			require.Equal(t, sectors(1, 2), got.data[:2*sector], l)
			require.Equal(t, got.base, got.data)
			for at := 2 * sector; at < len(got.data); at += sector {
				require.Contains(t, []byte{0, 1, 2}, got.data[at])
				require.Equal(t, bytes.Repeat(got.data[at:at+1], sector), got.data[at:at+sector])
			}
		}
	}
	require.Equal(t, sectors(1, 4), left(root, Everything, 0).entries["f"].data)
	require.Equal(t, f.data, left(root, Nothing, 0).entries["f"].data)
}

// A sync covers what was written before it began.
func TestSyncCoversWhatWasBefore(t *testing.T) {
	root, f := file()
	f.change(change{data: sectors(1, 1)})
	begun := f.seq
	f.change(change{off: sector, data: sectors(2, 1)})
	f.sync(begun)
	require.Equal(t, sectors(1, 1), left(root, Everything, 0).entries["f"].data)
}

// What a failed sync has lost, no later one brings back.
func TestFailedSyncLoses(t *testing.T) {
	lost := false
	for seed := range uint64(20) {
		root, f := file()
		f.change(change{data: sectors(1, 1)})
		f.fail(f.seq, rand.New(rand.NewPCG(seed, 1)))
		f.change(change{off: sector, data: sectors(2, 1)})
		f.sync(f.seq)
		got := left(root, Nothing, 0).entries["f"].data
		require.Equal(t, f.data, got)
		require.Equal(t, sectors(2, 1), got[sector:])
		lost = lost || got[0] == 0
	}
	require.True(t, lost)
}

// Each name survives by itself until its directory is synced.
func TestNames(t *testing.T) {
	root, f := file()
	f.change(change{data: sectors(1, 1)})
	f.sync(f.seq)
	root.move(move{gone: "f", come: "g", node: f})
	root.move(move{come: "h", node: &node{ino: 3}})
	seen := map[[3]bool]bool{}
	for seed := range uint64(100) {
		n := left(root, Names, seed).entries
		seen[[3]bool{n["f"] != nil, n["g"] != nil, n["h"] != nil}] = true
	}
	require.Equal(t, map[[3]bool]bool{
		{true, false, false}: true, {true, false, true}: true, {false, true, false}: true, {false, true, true}: true,
	}, seen, "a rename is atomic")
	root.syncNames(2)
	n := left(root, Everything, 0).entries
	require.Nil(t, n["f"])
	require.Equal(t, sectors(1, 1), n["g"].data)
	require.NotNil(t, n["h"])
}

func TestRules(t *testing.T) {
	var r rules
	hits := func(n int) (list []bool) {
		for range n {
			list = append(list, r.hit(OpWrite) != nil)
		}
		return list
	}
	r.set([]Rule{{Op: OpSync, Errno: syscall.EIO}, {Op: OpWrite, After: 1, Count: 2}}, 1)
	require.Equal(t, []bool{false, true, true, false, false}, hits(5))
	require.Equal(t, 2, r.set([]Rule{{Op: OpWrite, After: 2}}, 1))
	require.Equal(t, []bool{false, false, true, true}, hits(4))
	require.Equal(t, 2, r.set([]Rule{{Op: OpWrite, Percent: 50}}, 1))
	list := hits(100)
	require.Contains(t, list, true)
	require.Contains(t, list, false)
}

// A file takes space for what was written or reserved, and gives back what is cut off.
func TestSpace(t *testing.T) {
	_, f := file()
	f.change(change{off: 10 * page})
	require.True(t, f.grows(0, 1), "a hole")
	f.take(3*page-1, 2)
	require.False(t, f.grows(2*page, 2*page))
	require.True(t, f.grows(2*page-1, 2))
	require.True(t, f.grows(3*page, page+1))
	require.False(t, f.grows(9*page, 0), "nothing")
	f.change(change{off: 2*page + 1})
	require.False(t, f.grows(2*page, page))
	f.change(change{off: 10 * page})
	require.True(t, f.grows(3*page, 1), "it was cut off")
}
