package format

import "testing"

// The little-endian forms of the fields' values, written without the package's help.

func unsigned(v uint64, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	return b
}

func u8(v uint64) []byte  { return unsigned(v, 1) }
func u16(v uint64) []byte { return unsigned(v, 2) }
func u32(v uint64) []byte { return unsigned(v, 4) }
func u64(v uint64) []byte { return unsigned(v, 8) }

func join(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

var goldenLogID = []byte("\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xab\xac\xad\xae\xaf")

// goldenStructures cuts one structure of each kind out of the golden files.
func goldenStructures(t *testing.T) map[string]structure {
	seg1, seg2, frame := golden(t, goldenSeg1), golden(t, goldenSeg2), golden(t, goldenCodec)
	marker, repaired, member := golden(t, goldenClose), golden(t, goldenFixed), golden(t, goldenOther)
	keyFile, sealed := golden(t, goldenKeyFile), golden(t, goldenSealed)
	keyEnd := len(keyFile) - 4
	dict := golden(t, goldenDict)
	dictKey := 36 + len("orders")
	dictData := dictKey + KeySize(&goldenKey)
	link1 := join(u64(1), u64(5632), u64(4), u32(0x6356ca48))
	const (
		body    = 40 + 34 // in the repaired footer: its only partition up to the runs
		bodyEnd = body + 2*40 + 24 + 4*48
	)
	const rec = 4608 + 64 + 37 + 24 + 24 + 16 // the third record of the second batch of frame 2
	return map[string]structure{
		"Segment header": {seg2[:4096], []field{
			{"magic", []byte("CHRNKSEG")}, {"version", u16(1)}, {"checksum kind", u8(1)}, {"alignment", u8(9)},
			{"flags", u32(0)}, {"log id", goldenLogID}, {"segment number", u64(2)}, {"epoch", u64(0x2122232425262728)},
			{"first LSN", u64(5)}, {"created", u64(1_700_000_001_000_000_000)}, {"predecessor", link1},
			{"key", make([]byte, 4000)}, {"CRC", u32(uint64(CRC(seg2[:4092])))},
		}},
		"Link": {seg2[64:92], []field{
			{"segment", u64(1)}, {"end", u64(5632)}, {"LSN", u64(4)}, {"chain", u32(0x6356ca48)},
		}},
		"Frame header": {frame[:64], []field{
			{"magic", []byte("CFRM")}, {"flags", u32(0)}, {"length", u32(132)}, {"entries", u32(1)},
			{"epoch", u64(0x3132333435363738)}, {"LSN", u64(43)}, {"durable LSN", u64(41)}, {"position", u64(8192)},
			{"chain", u32(0x3a3b3c3d)}, {"directory CRC", u32(0x59331b23)}, {"reserved", u32(0)}, {"CRC", u32(0x8fd7113b)},
		}},
		"Directory entry": {frame[84:132], []field{
			{"partition id", u32(9)}, {"kind", u8(1)}, {"codec", u8(3)}, {"flags", u16(1)}, {"base offset", u64(37)},
			{"gap", u64(11)}, {"count", u32(2)}, {"length", u32(20)}, {"raw length", u32(61)},
			{"data CRC", u32(0xd70c477a)}, {"max timestamp", u64(1_700_000_000_000_000_008)},
		}},
		"Declaration": {repaired[40:body], []field{
			{"first offset", u64(23)}, {"next offset", u64(29)}, {"gap", u64(4)}, {"partition", u32(19)}, {"flags", u16(1)},
			{"topic size", u16(2)}, {"topic", []byte("tt")},
		}},
		"Record": {seg1[rec : rec+62], []field{
			{"size", u32(58)}, {"timestamp", u64(1_700_000_000_000_000_002)}, {"key size", u32(3 + 1)},
			{"value size", u32(7 + 1)}, {"headers", u32(2)}, {"key", []byte("key")}, {"value", []byte("value-5")},
			{"header list", []byte("\x05\x00\x00\x00\x03\x00\x00\x00trace\x00\xff\x05\x00\x00\x00\x00\x00\x00\x00trace")},
		}},
		"Header": {seg1[rec+34 : rec+49], []field{
			{"key size", u32(5)}, {"value size", u32(2 + 1)}, {"key", []byte("trace")}, {"value", []byte("\x00\xff")},
		}},
		"Trailer": {repaired[512-128:], []field{
			{"magic", []byte("CHRNKEND")}, {"version", u16(1)}, {"flags", u16(1)}, {"partitions", u32(1)},
			{"segment number", u64(7)}, {"epoch", u64(0x7172737475767778)}, {"body position", u64(40960)},
			{"body length", u64(bodyEnd)}, {"end", join(u64(7), u64(81920), u64(70), u32(0x7a7b7c7d))},
			{"body CRC", u32(uint64(CRC(repaired[:bodyEnd])))}, {"frames", u64(11)}, {"records", u64(13)},
			{"max timestamp", u64(1_700_000_000_000_000_017)}, {"XXH64", u64(0x6162636465666768)},
			{"reserved", make([]byte, 12)}, {"CRC", u32(uint64(CRC(repaired[512-128 : 508])))},
		}},
		"Footer partition": {repaired[:bodyEnd], []field{
			{"partition id", u32(3)}, {"runs", u32(2)}, {"index entries", u32(1)},
			{"stored bytes", u64(43)}, {"raw bytes", u64(47)}, {"codecs", u64(9)}, {"producers", u32(4)},
			{"declaration", repaired[40:body]}, {"run list", repaired[body : body+80]}, {"index", repaired[body+80 : body+104]},
			{"producer list", repaired[body+104 : bodyEnd]},
		}},
		"Run": {repaired[body : body+40], []field{
			{"kind", u8(1)}, {"zero 1", u8(0)}, {"flags", u16(1)}, {"zero 2", u32(0)}, {"base offset", u64(25)},
			{"end offset", u64(27)}, {"gap", u64(2)}, {"LSN", u64(61)},
		}},
		"Index entry": {repaired[body+80 : body+104], []field{
			{"offset", u64(25)}, {"position", u64(8192)}, {"max timestamp", u64(1_700_000_000_000_000_017)},
		}},
		"Key": {keyFile[16:keyEnd], []field{
			{"cipher", u8(1)}, {"zero", u8(0)}, {"wrapped size", u16(16)}, {"key id", []byte("\xb0\xb1\xb2\xb3\xb4\xb5\xb6\xb7")},
			{"log id", goldenLogID}, {"wrapped secret", []byte("a wrapped secret")},
		}},
		"Key file": {keyFile, []field{
			{"magic", []byte("CHRNKKEY")}, {"version", u16(1)}, {"zero", make([]byte, 6)}, {"key", keyFile[16:keyEnd]},
			{"CRC", u32(uint64(CRC(keyFile[:keyEnd])))},
		}},
		"Dictionary file": {dict, []field{
			{"magic", []byte("CHRNKDCT")}, {"version", u16(1)}, {"codec", u8(0x84)}, {"zero 1", u8(0)}, {"dictionary id", u32(0x0a0b0c0d)},
			{"number", u64(3)}, {"raw length", u32(12)}, {"length", u32(44)}, {"topic size", u16(6)}, {"zero 2", u16(0)},
			{"topic", []byte("orders")}, {"key", dict[dictKey:dictData]}, {"dictionary", dict[dictData : dictData+44]},
			{"CRC", u32(uint64(CRC(dict[:dictData+44])))},
		}},
		"Sealed batch": {sealed, []field{
			{"key id", []byte("\xb0\xb1\xb2\xb3\xb4\xb5\xb6\xb7")}, {"counter", u64(0x0102030405060708)},
			{"ciphertext", sealed[16:36]}, {"tag", sealed[36:]},
		}},
		"Authenticated with it": {goldenAbout(), []field{
			{"partition", u32(5)}, {"LSN", u64(43)}, {"base offset", u64(37)}, {"count", u32(2)}, {"raw length", u32(61)},
			{"max timestamp", u64(1_700_000_000_000_000_008)}, {"codec", u8(0x83)}, {"topic", []byte("orders")},
		}},
		"Close marker": {marker, []field{
			{"magic", []byte("CHRNKCLS")}, {"version", u16(1)}, {"flags", u16(0)}, {"zero", make([]byte, 4)}, {"log id", goldenLogID},
			{"end", join(u64(2), u64(5632), u64(9), u32(0x5f87d112))}, {"reserved", make([]byte, 448)},
			{"CRC", u32(uint64(CRC(marker[:508])))},
		}},
		"Member file": {member, []field{
			{"magic", []byte("CHRNKMBR")}, {"version", u16(1)}, {"kind", u8(3)}, {"zero", u8(0)}, {"number", u32(0x51525354)},
			{"log id", goldenMember.Log[:]}, {"whole", goldenLogID},
			{"end", join(u64(5), u64(8704), u64(47), u32(0x5a5b5c5d))}, {"reserved", make([]byte, 432)},
			{"CRC", u32(uint64(CRC(member[:508])))},
		}},
	}
}
