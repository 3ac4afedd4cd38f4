package cli

import (
	"errors"
	"strconv"
	"strings"

	walv0 "github.com/chronik-go/wal/compat-v0"
	wal "github.com/chronik-go/wal/core"
)

func (f *migrateFlags) check() error {
	switch {
	case f.from == "" && f.to == "":
		return usagef("no directories: give --from DIR and --to DIR")
	case f.from == "":
		return usagef("no directory to read: give --from DIR too")
	case f.to == "":
		return usagef("no directory to make: give --to DIR too")
	case f.reverse && (f.o.AcceptBadCRC || len(f.o.Renumber) > 0):
		return usagef("--accept-bad-crc and --renumber are about v0 data that is read, and --reverse writes it")
	case !f.reverse && f.o.AcceptLost:
		return usagef("--accept-lost is for --reverse")
	case liesIn(f.to, f.from) || liesIn(f.from, f.to):
		return usagef("--from and --to lie in each other: the source is not touched, so give another --to")
	}
	for _, name := range f.o.Renumber {
		topic, number, _ := strings.Cut(name, "/")
		if n, err := strconv.ParseInt(number, 10, 32); topic == "" || err != nil || n < 0 {
			return usagef("--renumber %q: it has to be TOPIC/PARTITION, as in __raft_metadata/0", name)
		}
	}
	return nil
}

// advise says which flag, or what else, goes on where a migration ended with err. The report may be nil.
func (f *migrateFlags) advise(r *walv0.Report, err error) string {
	var lost *wal.LostError
	switch {
	case f.reverse && errors.As(err, &lost):
		return "--accept-lost leaves out what a repair gave up, and counts it"
	case f.reverse && errors.Is(err, wal.ErrDamaged):
		return "chronik-wal verify lists the damage, chronik-wal repair makes the log whole"
	case errors.Is(err, wal.ErrKey):
		return "give the log's key with --key-file"
	case r == nil || !errors.Is(err, walv0.ErrDamaged):
		return ""
	}
	var list []string
	if r.BadCRC > 0 && !f.o.AcceptBadCRC {
		list = append(list, "--accept-bad-crc takes V2 records with a wrong CRC, which v0 did not check")
	}
	if len(r.Conflicts) > 0 {
		list = append(list, "where records of one offset are normal, --renumber "+strings.Join(r.Conflicts, " --renumber ")+" numbers them anew")
	}
	return strings.Join(list, "; ")
}
