package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Token names the request that a Reply answers; the driver chooses it.
type Token uint64

// Code is a Kafka error code; 0 is none.
type Code int16

// The codes that the group protocol answers.
var (
	illegalGeneration    = Code(kerr.IllegalGeneration.Code)
	inconsistentProtocol = Code(kerr.InconsistentGroupProtocol.Code)
	invalidGroupID       = Code(kerr.InvalidGroupID.Code)
	unknownMember        = Code(kerr.UnknownMemberID.Code)
	invalidSession       = Code(kerr.InvalidSessionTimeout.Code)
	rebalanceInProgress  = Code(kerr.RebalanceInProgress.Code)
	memberIDRequired     = Code(kerr.MemberIDRequired.Code)
	groupFull            = Code(kerr.GroupMaxSizeReached.Code)
	fencedInstance       = Code(kerr.FencedInstanceID.Code)
	metadataTooLarge     = Code(kerr.OffsetMetadataTooLarge.Code)
	groupIDNotFound      = Code(kerr.GroupIDNotFound.Code)
	fencedEpoch          = Code(kerr.FencedMemberEpoch.Code)
	staleEpoch           = Code(kerr.StaleMemberEpoch.Code)
	unreleasedInstance   = Code(kerr.UnreleasedInstanceID.Code)
	unsupportedAssignor  = Code(kerr.UnsupportedAssignor.Code)
	unsupportedVersion   = Code(kerr.UnsupportedVersion.Code)
	invalidRegex         = Code(kerr.InvalidRegularExpression.Code)
)

// Input is one of Join, Sync, Heartbeat, Leave, ConsumerHeartbeat, Commit, Stored, Topics, Tick.
type Input interface{ input() }

// Effect is one of Reply, Store.
type Effect interface{ effect() }

// Join asks for membership in the next generation of a group (JoinGroup). Its reply is a JoinReply.
type Join struct {
	Token        Token
	Group        string
	Member       string // empty: a new member
	Instance     string // empty: a dynamic member (KIP-345)
	ClientID     string
	ClientHost   string
	ProtocolType string
	// Protocols are what the member can do, the preferred one first.
	Protocols        []Protocol
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration
	// NewMember is the id that a new member gets: never given before.
	NewMember string
	// MemberIDRequired makes a new dynamic member come back with its id before it is one (KIP-394).
	MemberIDRequired bool
}

// Protocol is one way of assigning that a member supports, with what it tells the leader. Subscription is the part of that which
// asks for another assignment when it changes; the rest tells what the member has, and is another one after each restart.
type Protocol struct {
	Name         string
	Metadata     []byte
	Subscription string
}

// JoinReply answers a Join when the generation is complete.
type JoinReply struct {
	Code         Code
	Generation   int32
	ProtocolType string
	Protocol     string
	Leader       string
	Member       string
	// Members is filled for the leader alone, who assigns.
	Members []JoinMember
	// SkipAssignment tells a leader that the assignment stands (KIP-814).
	SkipAssignment bool
}

// JoinMember is one member as the leader sees it.
type JoinMember struct {
	Member, Instance string
	Metadata         []byte
}

// Sync asks for the member's assignment, and brings everybody's when the leader sends it. Its reply is a SyncReply.
type Sync struct {
	Token        Token
	Group        string
	Generation   int32
	Member       string
	Instance     string
	ProtocolType string // empty: not said
	Protocol     string // empty: not said
	Assignments  map[string][]byte
}

// SyncReply answers a Sync.
type SyncReply struct {
	Code         Code
	ProtocolType string
	Protocol     string
	Assignment   []byte
}

// Heartbeat says that a member lives. Its reply is a CodeReply.
type Heartbeat struct {
	Token      Token
	Group      string
	Generation int32
	Member     string
	Instance   string
}

// Leave ends memberships. Its reply is a LeaveReply.
type Leave struct {
	Token   Token
	Group   string
	Members []LeaveMember
}

// LeaveMember names who leaves: by Instance alone (Member empty) an administrator removes a static member.
type LeaveMember struct{ Member, Instance string }

// LeaveReply answers a Leave: one code per member, in order, or one for all.
type LeaveReply struct {
	Code    Code
	Members []Code
}

// Commit asks to store offsets. It ends in a Store effect and, after Stored, a CommitReply; or at once in a CommitReply.
type Commit struct {
	Token      Token
	Group      string
	Generation int32 // or member epoch; negative: a consumer outside the group protocol
	Member     string
	Instance   string
	// NoEpochs is set when the request's version is older than the consumer protocol: no member of it sends such.
	NoEpochs bool
	Offsets  []Offset
}

// CommitReply answers a Commit: a code per offset, in the order of the Commit.
type CommitReply struct{ Codes []Code }

// Stored says that the records of a Store are durable, or, with Code, that they are not. Code then is everybody's.
type Stored struct {
	Store Store
	Code  Code
	// At is the log offset of the first of the records: an older commit never replaces a newer one.
	At int64
}

// Tick lets time pass: what is due by now is done.
type Tick struct{}

// Reply answers the request that came with Token: a JoinReply, SyncReply, CodeReply, LeaveReply, ConsumerReply or CommitReply.
type Reply struct {
	To     Token
	Answer any
}

// CodeReply is an answer that is a code alone.
type CodeReply struct{ Code Code }

// Store asks the driver to make the offsets durable and to come back with Stored. Effects of one Machine are stored in
// the order in which they came.
type Store struct {
	Token   Token
	Group   string
	Offsets []Offset // those that may be stored
	codes   []Code   // of all offsets of the commit
	index   []int    // place of each of Offsets in codes
}

func (Join) input()      {}
func (Sync) input()      {}
func (Heartbeat) input() {}
func (Leave) input()     {}
func (Commit) input()    {}
func (Stored) input()    {}
func (Tick) input()      {}
func (Reply) effect()    {}
func (Store) effect()    {}

// Step takes one input at a time that never goes back, and gives what must be done, in order.
func (m *Machine) Step(now time.Time, in Input) []Effect {
	m.now = now
	m.effects = nil
	switch in := in.(type) {
	case Join:
		m.join(in)
	case Sync:
		m.sync(in)
	case Heartbeat:
		m.reply(in.Token, CodeReply{m.heartbeat(in)})
	case Leave:
		m.leave(in)
	case ConsumerHeartbeat:
		m.consume(in)
	case Topics:
		m.setTopics(in)
	case Commit:
		m.commit(in)
	case Stored:
		m.stored(in)
	case Tick:
		m.tick()
	}
	return m.effects
}

func (m *Machine) reply(to Token, answer any) { m.effects = append(m.effects, Reply{to, answer}) }
