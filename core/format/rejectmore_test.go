package format

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTrailerRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(f *Footer)
		patch  func(b []byte)
		want   error
	}{
		"magic":               {patch: set(0, 'X'), want: ErrCorrupt},
		"later version":       {patch: set(ftrVersion, 2), want: ErrVersion},
		"flag":                {patch: set(ftrFlags, 2), want: ErrVersion},
		"first reserved byte": {patch: set(ftrReserved, 1), want: ErrVersion},
		"last reserved byte":  {patch: set(ftrCRC-1, 1), want: ErrVersion},
		"2^32-1 partitions":   {patch: set(ftrPartitions, 255, 255, 255, 255), want: ErrCorrupt},
		"too many partitions": {patch: set(ftrPartitions, 6), want: ErrCorrupt},
		"body length < 0":     {patch: set(ftrBodyLen+7, 0x80), want: ErrCorrupt},
		"body length huge":    {patch: set(ftrBodyLen+7, 0x7f), want: nil},
		"body length 2^63-1":  {patch: set(ftrBodyLen, 255, 255, 255, 255, 255, 255, 255, 0x7f), want: ErrCorrupt},
		"body in header":      {change: func(f *Footer) { f.BodyAt = 512 }, want: ErrCorrupt},
		"body position < 0":   {change: func(f *Footer) { f.BodyAt = -4096 }, want: ErrCorrupt},
		"body position odd":   {change: func(f *Footer) { f.BodyAt++ }, want: ErrCorrupt},
		"number 0":            {change: func(f *Footer) { f.Number, f.End = 0, Link{} }, want: ErrCorrupt},
		"epoch 0":             {change: func(f *Footer) { f.Epoch = 0 }, want: ErrCorrupt},
		"frames < 0":          {change: func(f *Footer) { f.Frames = -1 }, want: ErrCorrupt},
		"records < 0":         {change: func(f *Footer) { f.Records = -1 }, want: ErrCorrupt},
		"end of another":      {change: func(f *Footer) { f.End.Segment++ }, want: ErrCorrupt},
		"end in header":       {change: func(f *Footer) { f.End.End = 512 }, want: ErrCorrupt},
		"end odd":             {change: func(f *Footer) { f.End.End++ }, want: ErrCorrupt},
		"end not at the body": {change: func(f *Footer) { f.Repaired = false }, want: ErrCorrupt},
	} {
		f := goldenRepaired
		if tt.change != nil {
			tt.change(&f)
		}
		b := AppendFooter(nil, &f, 512)
		if tt.patch != nil {
			trailer := b[len(b)-TrailerSize:]
			tt.patch(trailer)
			le.PutUint32(trailer[ftrCRC:], CRC(trailer[:ftrCRC]))
		}
		_, err := ReadTrailer(b)
		require.ErrorIs(t, err, tt.want, name)
	}
	for _, n := range []int{0, TrailerSize - 1, TrailerSize} {
		_, err := ReadTrailer(make([]byte, n))
		require.ErrorIs(t, err, ErrCorrupt)
	}
}

func TestFooterBodyRefuses(t *testing.T) {
	const (
		runs = footerFixed + declareFixed + 2 // in the body, behind a topic of two bytes
		end  = runs + 2*runSize + indexSize   // of the body
	)
	for name, tt := range map[string]struct {
		change func(p *FooterPartition)
		want   error
	}{
		"id 0":              {func(p *FooterPartition) { p.ID = 0 }, ErrCorrupt},
		"topic":             {func(p *FooterPartition) { p.Topic = "" }, ErrCorrupt},
		"run of declare":    {func(p *FooterPartition) { p.Runs[1].Kind = KindDeclare }, ErrVersion},
		"run of kind 0":     {func(p *FooterPartition) { p.Runs[1].Kind = 0 }, ErrVersion},
		"run of kind 6":     {func(p *FooterPartition) { p.Runs[1].Kind = 6 }, ErrVersion},
		"run flag":          {func(p *FooterPartition) { p.Runs[0].Flags = 2 }, ErrVersion},
		"run in one":        {func(p *FooterPartition) { p.Runs[0].Flags = FlagTransaction }, ErrVersion},
		"run base < 0":      {func(p *FooterPartition) { p.Runs[0].Base, p.Runs[0].Gap = -1, -2 }, ErrCorrupt},
		"run gap < 0":       {func(p *FooterPartition) { p.Runs[0].Gap = -1 }, ErrCorrupt},
		"run gap > base":    {func(p *FooterPartition) { p.Runs[0].Gap = 26 }, ErrCorrupt},
		"run ends early":    {func(p *FooterPartition) { p.Runs[0].End = 24 }, ErrCorrupt},
		"run of no records": {func(p *FooterPartition) { p.Runs[0].End = 25 }, ErrCorrupt},
		"control with end":  {func(p *FooterPartition) { p.Runs[1].End++ }, ErrCorrupt},
		"control moved":     {func(p *FooterPartition) { p.Runs[1].Flags = FlagMoved }, ErrVersion},
		"nothing lost":      {func(p *FooterPartition) { p.Runs[1].Gap = 0 }, ErrCorrupt},
		"truncation's gap":  {func(p *FooterPartition) { p.Runs[1].Kind = KindTruncateBefore }, ErrCorrupt},
		"no gap is lost": {func(p *FooterPartition) {
			p.Runs[1].Kind, p.Runs[1].Gap, p.Runs[1].Flags = KindTruncateAfter, 0, FlagGapLost
		}, ErrCorrupt},
		"run LSN 0":        {func(p *FooterPartition) { p.Runs[0].LSN = 0 }, ErrCorrupt},
		"run LSNs equal":   {func(p *FooterPartition) { p.Runs[1].LSN = p.Runs[0].LSN }, ErrCorrupt},
		"index offset < 0": {func(p *FooterPartition) { p.Index[0].Offset = -1 }, ErrCorrupt},
		"index in header":  {func(p *FooterPartition) { p.Index[0].Position = 4095 }, ErrCorrupt},
		"index in footer":  {func(p *FooterPartition) { p.Index[0].Position = 40960 }, ErrCorrupt},
		"index twice":      {func(p *FooterPartition) { p.Index = append(p.Index, p.Index[0]) }, ErrCorrupt},
		"index offsets": {func(p *FooterPartition) {
			p.Index = append(p.Index, IndexEntry{Offset: 24, Position: 16384})
		}, ErrCorrupt},
		"index positions": {func(p *FooterPartition) {
			p.Index = append(p.Index, IndexEntry{Offset: 25, Position: 8191})
		}, ErrCorrupt},
	} {
		f := repairedCopy()
		tt.change(&f.Partitions[0])
		require.ErrorIs(t, readBody(f, nil), tt.want, name)
	}
	for name, tt := range map[string]struct {
		patch func(b []byte)
		want  error
	}{
		"2^32-1 runs":     {set(footerRuns, 255, 255, 255, 255), ErrCorrupt},
		"2^32-1 index":    {set(footerIndex, 255, 255, 255, 255), ErrCorrupt},
		"a run too many":  {set(footerRuns, 3), ErrCorrupt},
		"a run too few":   {set(footerRuns, 1), ErrCorrupt},
		"an index less":   {set(footerIndex, 0), ErrCorrupt},
		"run's zero 1":    {set(runs+1, 1), ErrVersion},
		"run's zero 2":    {set(runs+7, 1), ErrVersion},
		"topic too long":  {set(footerFixed+decTopic, 255), ErrCorrupt},
		"nothing at all":  {nil, nil},
		"last index byte": {set(end-1, 1), nil}, // any time is possible
	} {
		require.ErrorIs(t, readBody(repairedCopy(), tt.patch), tt.want, name)
	}
	b := AppendFooter(nil, &goldenRepaired, 512)
	trailer, err := ReadTrailer(b)
	require.NoError(t, err)
	trailer.BodyLength++
	_, err = trailer.ReadBody(b[:end])
	require.ErrorIs(t, err, ErrCorrupt, "another size than the trailer says, all else right")
	trailer.BodyLength--
	for _, n := range []int{0, 2, 4} {
		trailer.partitions = n
		_, err = trailer.ReadBody(b[:end])
		require.ErrorIs(t, err, ErrCorrupt, "%d partitions in a body of one", n)
	}

	two := repairedCopy()
	two.Partitions = append(two.Partitions, two.Partitions[0])
	require.ErrorIs(t, readBody(two, nil), ErrCorrupt, "an id twice")
	two.Partitions[1].ID++
	require.NoError(t, readBody(two, nil))
	two.Partitions[0].ID += 2
	require.ErrorIs(t, readBody(two, nil), ErrCorrupt, "ids out of order")
}

func repairedCopy() *Footer {
	f := goldenRepaired
	p := f.Partitions[0]
	p.Runs, p.Index = append([]Run(nil), p.Runs...), append([]IndexEntry(nil), p.Index...)
	f.Partitions = []FooterPartition{p}
	return &f
}

// readBody writes a footer, patches its body and reads it.
func readBody(f *Footer, patch func(b []byte)) error {
	b := AppendFooter(nil, f, 512)
	t, err := ReadTrailer(b)
	if err != nil {
		return err
	}
	body := b[:t.BodyLength]
	if patch != nil {
		patch(body)
		t.bodyCRC = CRC(body)
	}
	_, err = t.ReadBody(body)
	return err
}

func TestMarkerRefuses(t *testing.T) {
	valid := Marker{Log: goldenID, End: Link{Segment: 1, End: 4096, LSN: 0, Chain: 0}}
	for name, tt := range map[string]struct {
		change func(m *Marker)
		patch  func(b []byte)
		want   error
	}{
		"magic":               {patch: set(0, 'X'), want: ErrCorrupt},
		"later version":       {patch: set(mrkVersion, 2), want: ErrVersion},
		"unknown flag":        {patch: set(mrkFlags, 2), want: ErrVersion},
		"more flags":          {patch: set(mrkFlags+1, 1), want: ErrVersion},
		"byte 12":             {patch: set(12, 1), want: ErrVersion},
		"byte 15":             {patch: set(15, 1), want: ErrVersion},
		"first reserved byte": {patch: set(mrkReserved, 1), want: ErrVersion},
		"last reserved byte":  {patch: set(mrkCRC-1, 1), want: ErrVersion},
		"log id 0":            {change: func(m *Marker) { m.Log = LogID{} }, want: ErrCorrupt},
		"end odd":             {change: func(m *Marker) { m.End.End++ }, want: ErrCorrupt},
		"end in header":       {change: func(m *Marker) { m.End.End = 3584 }, want: ErrCorrupt},
		"end of no segment":   {change: func(m *Marker) { m.End.Segment = 0 }, want: ErrCorrupt},
		"unsealed":            {change: func(m *Marker) { m.Unsealed = true }, want: nil},
		"empty segment":       {want: nil},
		"empty log":           {change: func(m *Marker) { m.End = Link{} }, want: nil},
	} {
		m, b := valid, make([]byte, MarkerSize)
		if tt.change != nil {
			tt.change(&m)
		}
		PutMarker(b, m)
		if tt.patch != nil {
			tt.patch(b)
			le.PutUint32(b[mrkCRC:], CRC(b[:mrkCRC]))
		}
		_, err := ReadMarker(b)
		require.ErrorIs(t, err, tt.want, name)
	}
	_, err := ReadMarker(make([]byte, MarkerSize-1))
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = ReadMarker(make([]byte, MarkerSize))
	require.ErrorIs(t, err, ErrCorrupt)
}

func TestDeclarationRefuses(t *testing.T) {
	long := make([]byte, MaxTopic+1)
	for name, d := range map[string]Declaration{
		"no topic":           {},
		"long topic":         {Topic: string(long)},
		"negative partition": {Topic: "t", Partition: -1},
		"negative first":     {Topic: "t", First: -1},
		"next below first":   {Topic: "t", First: 2, Next: 1},
		"next overflows":     {Topic: "t", First: 0, Next: math.MinInt64},
		"negative gap":       {Topic: "t", Next: 5, Gap: -1},
		"gap below first":    {Topic: "t", First: 3, Next: 5, Gap: 3},
		"no gap is lost":     {Topic: "t", Next: 5, GapLost: true},
	} {
		_, _, err := ReadDeclaration(AppendDeclaration(nil, d))
		require.ErrorIs(t, err, ErrCorrupt, name)
	}
	b := AppendDeclaration(nil, Declaration{Topic: "topic", Partition: 2, First: 3, Next: 4})
	for _, flag := range []byte{2, 0x80} {
		set(decFlags, flag)(b)
		_, _, err := ReadDeclaration(b)
		require.ErrorIs(t, err, ErrVersion)
		set(decFlags, 0)(b)
	}
	for n := range b {
		_, _, err := ReadDeclaration(b[:n])
		require.ErrorIs(t, err, ErrCorrupt, "cut to %d bytes", n)
	}
}

func TestRecordRefuses(t *testing.T) {
	r := Record{
		Timestamp: nanos(1), Key: []byte("key"), Value: []byte("value"),
		Headers: []Header{{Key: "long enough", Value: []byte("b")}},
	}
	valid := make([]byte, RecordSize(&r))
	PutRecord(valid, &r, 1)
	const header = recordFixed + 3 + 5
	for name, patch := range map[string]func([]byte){
		"size too small":       set(0, recordFixed-5, 0, 0, 0),
		"size too large":       set(0, byte(len(valid)-4+1), 0, 0, 0),
		"size huge":            set(0, 255, 255, 255, 255),
		"size a byte short":    set(0, byte(len(valid)-4-1), 0, 0, 0),
		"key too long":         set(recKey, 255, 255, 255, 255),
		"key a byte longer":    set(recKey, 5),
		"value too long":       set(recValue, 255, 255, 255, 255),
		"value a byte shorter": set(recValue, 5),
		"2^32-1 headers":       set(recHeaders, 255, 255, 255, 255),
		"a header more":        set(recHeaders, 2),
		"a header less":        set(recHeaders, 0),
		"header key too long":  set(header, 255, 255, 255, 255),
		"header value longer":  set(header+4, 3),
		"header value shorter": set(header+4, 1),
		"header value absent":  set(header+4, 0),
	} {
		b := append([]byte(nil), valid...)
		patch(b)
		_, _, err := ReadRecord(b)
		require.ErrorIs(t, err, ErrCorrupt, name)
	}
	for n := range valid {
		_, _, err := ReadRecord(valid[:n])
		require.ErrorIs(t, err, ErrCorrupt, "cut to %d bytes", n)
	}
}

// The checksum is the one that docs/format.md names: check values of RFC 3720, B.4.
func TestCRCIsCastagnoli(t *testing.T) {
	ascending, ones := make([]byte, 32), make([]byte, 32)
	for i := range ascending {
		ascending[i], ones[i] = byte(i), 0xff
	}
	require.Equal(t, uint32(0x8a9136aa), CRC(make([]byte, 32)))
	require.Equal(t, uint32(0x62a8ab43), CRC(ones))
	require.Equal(t, uint32(0x46dd794e), CRC(ascending))
	require.Equal(t, uint32(0xe3069283), CRC([]byte("123456789")))
}

func TestAlignUp(t *testing.T) {
	for _, tt := range []struct{ n, align, want int64 }{
		{0, 512, 0}, {1, 512, 512}, {512, 512, 512}, {513, 512, 1024}, {4097, 4096, 8192},
	} {
		require.Equal(t, tt.want, AlignUp(tt.n, tt.align))
	}
}
