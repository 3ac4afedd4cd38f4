package crash

import "slices"

// mutant is the engine with a mistake in it that loses data. The suite must find it, by a
// check that is meant for such mistakes.
type mutant struct {
	name string
	// patches are texts of the engine's source to replace, each of which stands in it once.
	patches []patch
	// killers are the checks meant for it.
	killers []Check
}

type patch struct{ old, new string }

// mutants are the mistakes that the suite has to find.
var mutants = slices.Concat(logMutants, sealedMutants)

// logMutants are mistakes that real logs have been seen to make.
var logMutants = []mutant{
	{"the sync of a group is skipped", []patch{{
		"Sync: c.s.cfg.fsync != FsyncPeriodic,\n",
		"Sync: false,\n"}}, []Check{AckedDurable}},

	{"acknowledged before it is written", []patch{{
		"	c.inflight = append(c.inflight, g)\n	err := c.queue.Submit(&g.batch)\n",
		`	c.inflight = append(c.inflight, g)
	c.s.mu.Lock()
	c.s.acked.Store(g.lastLSN())
	for _, w := range g.waiters {
		w.group = nil
	}
	c.woken, g.waiters = append(c.woken, g.waiters...), nil
	c.s.mu.Unlock()
	c.wakeWaiters()
	err := c.queue.Submit(&g.batch)
`}}, []Check{AckedDurable, ReadersDurable}},

	{"acknowledged with the groups before it in flight", []patch{{
		"for len(c.inflight) > 0 && c.inflight[0].complete {",
		"for len(c.inflight) > 0 && c.anyComplete() {"}, {
		"// drain waits until nothing is in flight.\n",
		`func (c *committer) anyComplete() bool {
	for _, g := range c.inflight {
		if g.complete {
			return true
		}
	}
	return false
}

// drain waits until nothing is in flight.
`}}, []Check{AckedDurable, ReadersDurable, ReadersWhole, NoResurrection}},

	{"a new segment's name is not synced", []patch{{
		"	return c.s.dir.Sync()\n",
		"	return nil\n"}}, []Check{AckedDurable}},

	{"the epoch of frames is not checked", []patch{{
		"	if h.Epoch != r.epoch {\n",
		"	if false {\n"}}, []Check{NoResurrection, TornIsNotDamage}},

	{"appends behind the cut after a crash", []patch{{
		"	s.commit.init(s, queue, depth)\n",
		"	s.commit.init(s, queue, depth)\n	s.commit.resume()\n"}, {
		"func randomEpoch() uint64 {\n",
		`func (c *committer) resume() {
	list := c.s.segments.all()
	if len(list) == 0 || !list[len(list)-1].is(stateUnsealed) {
		return
	}
	g := list[len(list)-1]
	g.setState(stateActive)
	c.active, c.position, c.hash = g, g.end.Load(), xxhash.New()
	for _, p := range c.s.partitions {
		p.declared = new(segment)
	}
}

func randomEpoch() uint64 {
`}}, []Check{NoResurrection, TornIsNotDamage}},

	{"the end that a successor names is ignored", []patch{{
		"if p := r.segments[i+1].Predecessor; p.Segment == g.Number && p.End >= format.HeaderSize {",
		"if p := r.segments[i+1].Predecessor; false {"}}, []Check{NoResurrection, TornIsNotDamage}},

	{"the durable LSN is not checked", []patch{{
		"damaged = h.Durable >= s.reader.lsn\n",
		"damaged = false\n"}}, []Check{DamageReported}},

	{"the close marker is ignored", []patch{{
		"	return numbers, r.readMarker()\n",
		"	return numbers, nil\n"}}, []Check{DamageReported}},

	{"the chain of frames is not checked", []patch{{
		"case !r.loose && h.Chain != r.chain:",
		"case false:"}}, []Check{DamageReported}},

	{"the content of batches is not checked", []patch{{
		"	if sound && r.check {\n",
		"	if false {\n"}}, []Check{Prefix, DamageReported}},

	{"recovery serves what is not synced", []patch{{
		"	return footer == nil || !r.s.cfg.readOnly && !r.sealedAtClose(g)\n",
		"	return footer != nil && !r.s.cfg.readOnly && !r.sealedAtClose(g)\n"}}, []Check{SyncedFirst}},

	{"a footer that a killed writer left is not synced", []patch{{
		"	return footer == nil || !r.s.cfg.readOnly && !r.sealedAtClose(g)\n",
		"	return footer == nil\n"}}, []Check{TornIsNotDamage}},

	{"recovery does not sync the directory", []patch{{
		"	if !r.looks {\n		if err := r.s.dir.Sync(); err != nil {\n",
		"	if false {\n		if err := r.s.dir.Sync(); err != nil {\n"}}, []Check{SyncedFirst, TornIsNotDamage}},

	{"a segment goes before the truncation is durable", []patch{{
		"func (c *committer) redeclare(seg *segment) error {\n	if err := c.syncNow(); err != nil {\n		return err\n	}\n",
		"func (c *committer) redeclare(seg *segment) error {\n"}}, []Check{AckedDurable, TornIsNotDamage}},

	{"a segment goes before its partitions are declared again", []patch{{
		"	for len(parts) > 0 {\n		n := min(len(parts), redeclareAtOnce)\n",
		"	for false {\n		n := min(len(parts), redeclareAtOnce)\n"}}, []Check{AckedDurable, Idempotent}},

	{"a file is used again before its new name is durable", []patch{{
		"		if err := k.syncDir(); err != nil {\n			return false, err\n		}\n		k.s.prepare.recycle(f)\n",
		"		k.s.prepare.recycle(f)\n"}}, []Check{TornIsNotDamage}},

	{"segments go in any order", []patch{{
		"	if err := k.syncDir(); err != nil {\n		return false, err\n	}\n	return false, g.file.Close()\n",
		"	return false, g.file.Close()\n"}}, []Check{TornIsNotDamage}},

	{"a segment ends before it is synced", []patch{{
		"func (c *committer) endSegment() error {\n	if err := c.syncNow(); err != nil {\n		return err\n	}\n",
		"func (c *committer) endSegment() error {\n"}}, []Check{TornIsNotDamage, AckedDurable}},

	{"records are moved behind a truncation that is on its way", []patch{{
		"		if cutting > 0 {\n",
		"		if cutting < 0 {\n"}}, []Check{Prefix, NoResurrection, AckedDurable, AtomicBatch}},

	{"one append is several batches", []patch{{
		"func (p *Partition) AppendAsync(ctx context.Context, records ...Record) (Ack, error) {\n",
		`func (p *Partition) AppendAsync(ctx context.Context, records ...Record) (Ack, error) {
	if len(records) > 1 {
		first, err := p.AppendAsync(ctx, records[0])
		if err != nil {
			return first, err
		}
		ack, err := p.AppendAsync(ctx, records[1:]...)
		ack.offset = first.offset
		return ack, err
	}
`}}, []Check{AtomicBatch, Prefix}},

	{"a transaction is written append by append", []patch{{
		"	acks, err := t.shard.commitTx(ctx, t)\n",
		`	var acks []Ack
	var err error
	for at, i := int64(0), 0; i < len(t.appends) && err == nil; i++ {
		r := &t.appends[i].request
		r.entry.Flags = 0
		sl, _, e := t.shard.reserve(ctx, r, false)
		if err = e; err == nil {
			sl.entry.CRC = format.CRC(t.data[at:][:copy(sl.buf, t.data[at:])])
			at += r.entry.Length
			sl.group.encoding.Add(-1)
			t.shard.mu.Lock()
			t.shard.closeGroup()
			t.shard.mu.Unlock()
			t.shard.rouse(sl.wake)
			acks = append(acks, sl.ack)
		}
	}
`}}, []Check{AtomicTransaction}},

	{"a transaction comes into view partition by partition", []patch{{
		"	c.s.together(parts, func() {\n		for i := range list {\n			c.publish(seg, list[i:i+1], lsn+uint64(i))\n		}\n	})\n",
		`	for i := range list {
		c.publishRun(seg, list[i:i+1], lsn+uint64(i), nil)
		giveWay()
	}
`}}, []Check{AtomicTransaction}},

	{"who looks at all partitions does not wait for a transaction", []patch{{
		"	s.showing.RLock() // all of a transaction or nothing, also of what it did to partitions that are new\n	defer s.showing.RUnlock()\n",
		""}, {
		"	for _, p := range parts {\n		r := &replayed{Partition: p}\n",
		"	for _, p := range parts {\n		giveWay()\n		r := &replayed{Partition: p}\n"}}, []Check{AtomicTransaction}},

	{"what is sound of a torn frame is kept", []patch{{
		"	if !damaged {\n		if bad.ours {\n",
		"	if !damaged && bad.partial != nil {\n		return s.takePartial(bad.partial)\n	}\n	if !damaged {\n		if bad.ours {\n"}},
		[]Check{TornIsNotDamage, Prefix}},

	{"a dictionary is used before its name is durable", []patch{{
		"	if err := s.dir.Sync(); err != nil {\n		return fmt.Errorf(\"sync the log's directory: %w\", err)\n	}\n	return nil\n}\n\nfunc abandonAll",
		"	return nil\n}\n\nfunc abandonAll"}}, []Check{Prefix, TornIsNotDamage}},

	{"a dictionary gets its name before it is durable", []patch{{
		"		ready = append(ready, w)\n		if err = w.put(b); err == nil {\n			err = w.finish()\n		}\n",
		"		ready = append(ready, w)\n		if err = w.put(b); err == nil {\n			err = errors.Join(w.flush(), w.close())\n		}\n"}}, []Check{Prefix, TornIsNotDamage}},

	{"a producer is forgotten with its segment", []patch{{
		"		for _, known := range p.known { // nobody else changes it\n",
		"		for _, known := range p.known[:0] {\n"}}, []Check{AppendedOnce}},

	{"a footer does not tell of producers", []patch{{
		"		part.Producers = p.known\n",
		""}}, []Check{AppendedOnce}},

	{"a producer's repetition is appended while the first is under way", []patch{{
		"	known, ok := p.producers.find(r.producer)\n	switch end",
		"	p.mu.RLock()\n	known, ok := p.known.find(r.producer)\n	p.mu.RUnlock()\n	if ok {\n		known.Count = int(min(r.sequence, known.Next()) - known.First)\n	}\n	switch end"}},
		[]Check{AppendedOnce}},

	{"sequence numbers outlive a truncation of their records", []patch{{
		"		if p.Count = int(min(int64(p.Count), next-p.Base)); p.Count > 0 {\n",
		"		if next > 0 || p.Count > 0 {\n"}}, []Check{AppendedOnce}},

	{"sequence numbers outlive a rollback", []patch{{
		"	p.producers, p.onceLSN = slices.Clone(p.known), 0\n",
		"	p.producers, p.onceLSN = slices.Clone(p.producers), 0\n"}}, []Check{AppendedOnce}},

	{"a rollback keeps the offsets", []patch{{
		"	p.next, p.first = p.visible.Load(), p.lowest.Load()\n",
		"	p.first = p.lowest.Load()\n"}}, []Check{NoSpace, Prefix, FailedWrite, TornIsNotDamage}},

	{"a file whose write failed is written on", []patch{{
		"		return\n	}\n	c.abandon()\n	if isNoSpace(err) {\n",
		"		return\n	}\n	c.chain = c.tail.Chain\n	if isNoSpace(err) {\n"}},
		[]Check{FailedWrite, NoSpace, TornIsNotDamage}},

	{"a failed sync is tried again", []patch{{
		"	err := c.writeNow(backend.Write{File: c.active.file, Sync: true})\n	if err == nil {\n		err = c.zerosFailed()\n",
		"	w := backend.Write{File: c.active.file, Sync: true}\n	err := c.writeNow(w)\n	if err != nil {\n		err = c.writeNow(w)\n	}\n	if err == nil {\n		err = c.zerosFailed()\n"}},
		[]Check{FailedWrite, TornIsNotDamage}},

	{"a second failure is not final", []patch{{
		"	c.failures++\n	if c.failures > 1 || c.s.cfg.fsync == FsyncPeriodic {\n",
		"	if false {\n"}}, []Check{FailedWrite}},

	{"lack of space is acknowledged", []patch{{
		"		c.outOfSpace(noSpace(err))\n		return\n	}\n	c.failures++\n",
		"		for _, g := range c.inflight {\n			c.acknowledge(g)\n		}\n		c.inflight = nil\n		return\n	}\n	c.failures++\n"}},
		[]Check{NoSpace, Prefix}},

	{"readers see what is not written yet", []patch{{
		"	r.part.place(r)\n",
		"	r.part.place(r)\n	if r.entry.Kind == format.KindData {\n		r.part.visible.Store(r.part.next)\n		r.part.stable.Store(r.part.next)\n	}\n"}},
		[]Check{ReadersDurable, ReadersWhole, AckedDurable}},

	{"a read-only open removes what it does not know", []patch{{
		"isTemporary(name) && !r.s.cfg.readOnly",
		"isTemporary(name)"}}, []Check{ReadOnlyNoChange, Recovers}},

	{"the directory is not locked", []patch{{
		"		if err := m.root.Lock(); err != nil {\n			return causeOf(err, m.path)\n		}\n",
		""}}, []Check{OneWriter}},

	{"the write buffer grows without bound", []patch{{
		"			if s.cfg.noWait {\n				return nil, fmt.Errorf(\"%w: %d bytes wait to be written\", ErrBackpressure, s.ring.size)\n			}\n",
		"			if s.cfg.noWait {\n			s.large = 0\n			b, err := s.commit.queue.Buffer(1 << 16)\n			if err == nil {\n				s.closeGroup()\n				s.large, s.openGroup = 1, s.ring.openLarge(b, 1)\n				return s.openGroup, nil\n			}\n		}\n"}},
		[]Check{Bounded}},
}
