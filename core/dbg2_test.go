package wal_test

import (
	"fmt"
	"os"
	"testing"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

func TestReplayFail(t *testing.T) {
	dir := os.Getenv("RPFAIL")
	if dir == "" {
		return
	}
	orig, damaged := sim.New(sim.Options{}), sim.New(sim.Options{})
	fmt.Println(orig.Import(dir+"/orig", dataDir), damaged.Import(dir+"/damaged", dataDir))
	fmt.Println("ORIG", orig.Files(dataDir), damaged.Files(dataDir))
	for _, p := range []struct {
		t  string
		id int32
	}{{"t0", 0}, {"t1", 1}, {"t0", 2}, {"t1", 3}} {
		fmt.Println("#####", p, "\n", dumpPart(orig, p.t, p.id), "DAMAGED\n", dumpPart(damaged, p.t, p.id))
	}
	rep, err := wal.Verify(bg, dataDir, repairOptions(damaged)...)
	fmt.Println(rep, err)
	r, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: "/q"}, repairOptions(damaged)...)
	fmt.Println(r, err)
}
