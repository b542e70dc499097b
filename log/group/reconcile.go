package group

// Reconciling brings a member from the partitions that it has to its target, in steps that it confirms by its heartbeats. A
// partition has one owner at any time: it is freed when its owner says that it no longer has it, or is gone, and only then
// given to the next.

// reconcile takes a member as far towards its target as owned, what the member says that it has (nil: as it was told), allows.
func (m *Machine) reconcile(g *group, c *consumer, owned []TopicPartition) (changed bool) {
	k := g.consumers
	if len(c.revoking) > 0 && ownsAny(c.revoking, owned) {
		// Until it has given up those, more may be taken away, and nothing is given.
		if drop := c.surplus(); len(drop) > 0 {
			m.revoke(c, drop)
			c.advance(c.epoch)
			return true
		}
		return false
	}
	revoked := len(c.revoking) > 0
	k.free(c.revoking)
	c.revoking = nil
	if c.epoch == g.generation && !c.waiting && !revoked {
		return false
	}
	drop := c.surplus()
	if len(drop) > 0 && ownsAny(drop, owned) {
		m.revoke(c, drop)
		c.advance(c.epoch)
		return true
	}
	k.free(drop)
	for tp := range drop {
		delete(c.assigned, tp)
	}
	changed, c.waiting = len(drop) > 0, false
	for tp := range c.target {
		if _, has := c.assigned[tp]; has {
			continue
		}
		if k.owner[tp] != nil {
			c.waiting = true
			continue
		}
		k.owner[tp], changed = c, true
		c.assigned[tp] = g.generation
	}
	c.advance(g.generation)
	return changed
}

// surplus are the partitions that a member has and shall not keep.
func (c *consumer) surplus() map[TopicPartition]int32 {
	var drop map[TopicPartition]int32
	for tp, epoch := range c.assigned {
		if _, keep := c.target[tp]; !keep {
			if drop == nil {
				drop = map[TopicPartition]int32{}
			}
			drop[tp] = epoch
		}
	}
	return drop
}

// revoke asks a member for partitions: its assignment is without them from now on, they are still its own until it says
// otherwise, and it has its rebalance timeout for that.
func (m *Machine) revoke(c *consumer, drop map[TopicPartition]int32) {
	if c.revoking == nil {
		c.revoking = map[TopicPartition]int32{}
	}
	for tp, epoch := range drop {
		delete(c.assigned, tp)
		c.revoking[tp] = epoch
	}
	c.revokeBy = m.now.Add(c.rebalance)
}

// advance moves a member to an epoch. The one before is what it may still speak under, when the answer was lost.
func (c *consumer) advance(epoch int32) { c.previous, c.epoch = c.epoch, epoch }

// free ends the ownership of partitions.
func (k *consumers) free(gone map[TopicPartition]int32) {
	for tp := range gone {
		delete(k.owner, tp)
	}
}

// ownsAny reports whether a member may still have any of the partitions: owned is what it says, nil is nothing said.
func ownsAny(those map[TopicPartition]int32, owned []TopicPartition) bool {
	if owned == nil {
		return true
	}
	for _, tp := range owned {
		if _, ok := those[tp]; ok {
			return true
		}
	}
	return false
}

// ownsOnly reports whether a member says that it has none but those.
func ownsOnly(those map[TopicPartition]int32, owned []TopicPartition) bool {
	for _, tp := range owned {
		if _, ok := those[tp]; !ok {
			return false
		}
	}
	return owned != nil
}
