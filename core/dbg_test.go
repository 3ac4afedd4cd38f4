package wal_test

import (
	"fmt"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

func dumpPart(disk *sim.Disk, topic string, id int32) string {
	s := ""
	for i, err := range wal.Dump(bg, dataDir, wal.DumpOptions{}, repairOptions(disk)...) {
		if err != nil {
			return s + err.Error()
		}
		e := i.Entry
		if i.Kind == wal.DumpHeader && i.Header != nil {
			s += fmt.Sprintf("== %s first lsn %d pred %+v\n", i.Segment, i.Header.FirstLSN, i.Header.Predecessor)
		}
		if i.Error != "" {
			s += fmt.Sprintf("   %s %d %s %s\n", i.Segment, i.Position, i.Kind, i.Error)
		}
		if e != nil && e.Topic == topic && e.Partition == id {
			s += fmt.Sprintf("   %s %d %s lsn %d first %d base %d gap %d count %d moved %v\n", i.Segment[18:], i.Position, i.Kind, e.LSN, e.First, e.Base, e.Gap, e.Count, e.Moved)
		}
	}
	return s
}
