package crash

// sealedMutants are mistakes of encryption.
var sealedMutants = []mutant{
	{"a nonce is used again", []patch{{
		"Counter: s.counter.Add(1)}",
		"Counter: 1}"}}, []Check{Sealed}},

	{"the offset of a batch is not authenticated", []patch{{
		"format.AppendSealed(m.about[:0], e, lsn, p.topic, p.num)",
		"format.AppendSealed(m.about[:0], anywhere(e), lsn, p.topic, p.num)"}, {
		"format.AppendSealed(m.about[:0], &b.Entry, b.lsn, b.topic, b.partition)",
		"format.AppendSealed(m.about[:0], anywhere(&b.Entry), b.lsn, b.topic, b.partition)"}, {
		"// wrap notes that a request's data will be sealed.\n",
		`func anywhere(e *format.Entry) *format.Entry {
	x := *e
	x.Base = 0
	return &x
}

// wrap notes that a request's data will be sealed.
`}}, []Check{Sealed}},

	{"what was truncated has the same seal as what came in its place", []patch{{
		"format.AppendSealed(m.about[:0], e, lsn, p.topic, p.num)",
		"format.AppendSealed(m.about[:0], e, 0, p.topic, p.num)"}, {
		"format.AppendSealed(m.about[:0], &b.Entry, b.lsn, b.topic, b.partition)",
		"format.AppendSealed(m.about[:0], &b.Entry, 0, b.topic, b.partition)"}}, []Check{Sealed}},

	{"what fails authentication is passed over", []patch{{
		"	raw, err := c.p.shard.cfg.decode(nil, c.stored(b))\n",
		"	raw, err := c.p.shard.cfg.decode(nil, c.stored(b))\n	if errors.Is(err, ErrTampered) {\n		c.next = min(b.End(), c.extent.end)\n		return c.advance()\n	}\n"}},
		[]Check{Sealed}},

	{"a key that is missing is called damage", []patch{{
		"		return nil, fmt.Errorf(\"batch at offset %d: %w\", b.Base, err)\n",
		"		return nil, fmt.Errorf(\"%w: batch at offset %d: %w\", format.ErrCorrupt, b.Base, err)\n"}}, []Check{Sealed}},

	{"a key that is missing is damage to verify", []patch{{
		"	if errors.Is(err, format.ErrCorrupt) {\n		return err\n	}\n	r.unchecked++\n",
		"	if errors.Is(err, format.ErrCorrupt) || errors.Is(err, ErrKey) {\n		return err\n	}\n	r.unchecked++\n"}}, []Check{Sealed}},

	{"an open for writing does without the key", []patch{{
		"			if _, err := s.cfg.aead(g.Log, g.Key); err != nil {\n",
		"			if _, err := s.cfg.aead(g.Log, g.Key); err != nil && false {\n"}}, []Check{Sealed}},

	{"a log's data key is left in it as it is", []patch{{
		"	aead, err := how.New(secret[:dataKeySize])\n	if err != nil {\n		return nil, nil, ",
		"	k.Wrapped = append(k.Wrapped, secret[:dataKeySize]...)\n	aead, err := how.New(secret[:dataKeySize])\n	if err != nil {\n		return nil, nil, "}, {
		"c.keys.Unwrap(k.Wrapped)",
		"c.keys.Unwrap(k.Wrapped[:len(k.Wrapped)-dataKeySize])"}}, []Check{Sealed}},

	{"what no key opens is no longer there after a recovery", []patch{{
		"	if r.everything {\n		sc.reader.deep,",
		"	if true {\n		sc.reader.deep,"}, {
		"	if errors.Is(err, format.ErrCorrupt) {\n		return err\n	}\n	r.unchecked++\n",
		"	if errors.Is(err, format.ErrCorrupt) || errors.Is(err, ErrKey) {\n		return err\n	}\n	r.unchecked++\n"}}, []Check{Sealed}},

	{"a transaction is not encrypted", []patch{{
		"	r.pack(records)\n	from := len(t.data)\n",
		"	if r.codec != nil {\n		r.pack(records)\n	}\n	from := len(t.data)\n"}}, []Check{Sealed}},

	{"an append of a producer that numbers its records is not encrypted", []patch{{
		"	r.pack(records)\n	defer r.unpack()\n	sl, _, err := p.shard.reserve(ctx, &r, false)\n	if errors.Is(err, errAppended) {\n",
		"	if r.codec != nil {\n		r.pack(records)\n	}\n	defer r.unpack()\n	sl, _, err := p.shard.reserve(ctx, &r, false)\n	if errors.Is(err, errAppended) {\n"}}, []Check{Sealed}},
}
