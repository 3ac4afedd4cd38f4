package wal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/format"
)

func TestIsTemporary(t *testing.T) {
	for name, want := range map[string]bool{
		"prepare-1.tmp":                                    true,
		"recycle-17.tmp":                                   true,
		"repair-00000000000000000001.wal.tmp":              true,
		"00000000000000000001.wal.tmp":                     true,
		"close.marker.tmp":                                 true,
		"log.member.tmp":                                   true,
		logName(format.MemberShard, 1) + ".member.tmp":     true,
		logName(format.MemberDedicated, 2) + ".member.tmp": true,
		"0123456789abcdef.key.tmp":                         true,
		dictionaryFileNames(7)[0] + ".tmp":                 true,
		dictionaryFileNames(7)[1] + ".tmp":                 true,
		"quarantine-probe.tmp":                             true,
		"prepare-1":                                        false,
		"notes.tmp":                                        false,
		"prepare-.tmp":                                     false,
		"prepare-new.tmp":                                  false,
		"repair-notes.tmp":                                 false,
		"master.key.tmp":                                   false,
		"0123456789ABCDEF.key.tmp":                         false,
		".tmp":                                             false,
		"":                                                 false,
		"00000000000000000000.wal.tmp":                     false,
		"shard-0.member.tmp":                               false,
		"00000000000000000001.wal.tmp.tmp":                 false,
		"00000000000000000001.wal":                         false,
		"prepare-99999999999999999999999999.tmp":           false,
	} {
		require.Equal(t, want, isTemporary(name), name)
	}
}
