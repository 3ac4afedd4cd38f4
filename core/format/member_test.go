package format

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMemberRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Member{Kind: MemberMain, Log: drawLogID(t)}
		m.Whole = m.Log
		if rapid.Bool().Draw(t, "not the main log") {
			m.Kind = MemberKind(rapid.IntRange(int(MemberShard), int(MemberDedicated)).Draw(t, "kind"))
			m.Number = rapid.Uint32Min(1).Draw(t, "number")
			m.Whole[0] = ^m.Log[0]
			m.Whole[1] |= 1 // an id is not 0
		}
		if rapid.Bool().Draw(t, "was closed") {
			m.End = drawLink(t, rapid.Uint64Min(1).Draw(t, "segment"))
		}
		b := usedBuffer(MemberSize)
		PutMember(b, m)
		got, err := ReadMember(b)
		require.NoError(t, err)
		require.Equal(t, m, got)
	})
}

func TestMemberRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(m *Member)
		patch  func(b []byte)
		want   error
	}{
		"magic":               {patch: set(0, 'X'), want: ErrCorrupt},
		"later version":       {patch: set(mbrVersion, 2), want: ErrVersion},
		"unknown kind":        {patch: set(mbrKind, 4), want: ErrVersion},
		"no kind":             {patch: set(mbrKind, 0), want: ErrCorrupt},
		"byte 11":             {patch: set(mbrZero, 1), want: ErrVersion},
		"first reserved byte": {patch: set(mbrReserved, 1), want: ErrVersion},
		"last reserved byte":  {patch: set(mbrCRC-1, 1), want: ErrVersion},
		"log id 0":            {change: func(m *Member) { m.Log = LogID{} }, want: ErrCorrupt},
		"whole 0":             {change: func(m *Member) { m.Whole = LogID{} }, want: ErrCorrupt},
		"shard 0":             {change: func(m *Member) { m.Kind, m.Number = MemberShard, 0 }, want: ErrCorrupt},
		"shard that is whole": {change: func(m *Member) { m.Kind, m.Log = MemberShard, m.Whole }, want: ErrCorrupt},
		"numbered main log":   {change: func(m *Member) { m.Kind, m.Log = MemberMain, m.Whole }, want: ErrCorrupt},
		"main log of another": {change: func(m *Member) { m.Kind, m.Number = MemberMain, 0 }, want: ErrCorrupt},
		"end odd":             {change: func(m *Member) { m.End.End++ }, want: ErrCorrupt},
		"never closed":        {change: func(m *Member) { m.End = Link{} }},
	} {
		m := goldenMember
		if tt.change != nil {
			tt.change(&m)
		}
		b := memberBytes(m)
		if tt.patch != nil {
			tt.patch(b)
			le.PutUint32(b[mbrCRC:], CRC(b[:mbrCRC]))
		}
		_, err := ReadMember(b)
		require.ErrorIs(t, err, tt.want, name)
	}
	_, err := ReadMember(make([]byte, MemberSize-1))
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = ReadMember(make([]byte, MemberSize))
	require.ErrorIs(t, err, ErrCorrupt)
}
