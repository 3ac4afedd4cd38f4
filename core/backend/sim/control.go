package sim

// Crash stops the machine: every call from now on, and every one that is blocked,
// returns an error wrapping ErrCrashed, and nothing changes any more. What a power
// failure leaves behind is what Image returns.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crash()
}

// CrashAt lets n more operations that change the disk happen (those that Ops counts)
// and crashes at the one after. A negative n takes the plan back.
func (d *Disk) CrashAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = n
}

// Crashed reports whether the machine has crashed.
func (d *Disk) Crashed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.crashed
}

// Ops returns how many operations have changed the disk. With a trace it is the
// trace's length.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

// SetCapacity changes Options.Capacity. A disk that is fuller than that loses nothing;
// it only refuses to reserve more.
func (d *Disk) SetCapacity(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opt.Capacity = bytes
}

// Used returns how many bytes of the capacity are taken.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used()
}

// ReadOnly makes the file system read-only, as Linux does after an error of its
// journal: changes fail with EROFS, and so does a sync that has something to do.
func (d *Disk) ReadOnly(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readOnly = on
}

// LieAboutSync makes every sync return nil without making anything durable, as a drive
// does that ignores flushes. What a sync was lied about stays unsynced, and an honest
// later one makes it durable.
func (d *Disk) LieAboutSync(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lie = on
}

// BeforeOp sets a function that is called before each operation, without a lock: it may
// block, and it may use the Disk. It sees writes twice, as OpSubmit in Submit and as
// OpWrite or OpSync in Wait. While it blocks there, Wake does not get through: to hold
// completions back, use Stall. Nil removes it.
func (d *Disk) BeforeOp(fn func(OpInfo)) {
	if fn == nil {
		d.hook.Store(nil)
		return
	}
	d.hook.Store(&fn)
}

// Stall makes the device slow: no submitted batch completes, and Wait blocks unless
// woken, until Complete or Resume.
func (d *Disk) Stall() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stalled, d.allowed = true, 0
}

// Complete lets n more batches complete during a stall.
func (d *Disk) Complete(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.allowed += n
	d.cond.Broadcast()
}

// Resume ends a stall.
func (d *Disk) Resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stalled = false
	d.cond.Broadcast()
}

// mayComplete reports whether the stall, if there is one, lets a batch through.
func (d *Disk) mayComplete() bool { return !d.stalled || d.allowed > 0 }
