package ocsf

// Event is the part of an OCSF event that is used here.
type Event struct {
	ActivityID   int       `json:"activity_id"`
	ActivityName string    `json:"activity_name"`
	CategoryUID  int       `json:"category_uid"`
	ClassUID     int       `json:"class_uid"`
	TypeUID      int       `json:"type_uid"`
	SeverityID   int       `json:"severity_id"`
	StatusID     int       `json:"status_id"`
	StatusCode   string    `json:"status_code,omitempty"`
	StatusDetail string    `json:"status_detail,omitempty"`
	Time         int64     `json:"time"` // milliseconds
	Message      string    `json:"message"`
	Metadata     Metadata  `json:"metadata"`
	Device       Device    `json:"device"`
	Actor        *Actor    `json:"actor,omitempty"`
	User         *User     `json:"user,omitempty"`
	Session      *Session  `json:"session,omitempty"`
	Service      *Service  `json:"service,omitempty"`
	Endpoint     *Endpoint `json:"dst_endpoint,omitempty"`
	Entity       *Entity   `json:"entity,omitempty"`
	App          *Product  `json:"app,omitempty"`
	Unmapped     Unmapped  `json:"unmapped"`
}

// Metadata says what the event is and where it comes from.
type Metadata struct {
	Version     string   `json:"version"`
	UID         string   `json:"uid"`
	LogName     string   `json:"log_name"`
	Product     Product  `json:"product"`
	Profiles    []string `json:"profiles"`
	Sequence    int64    `json:"sequence"`
	LoggedTime  int64    `json:"logged_time"`
	Correlation string   `json:"correlation_uid,omitempty"`
}

// Product is this one.
type Product struct {
	Name   string `json:"name"`
	Vendor string `json:"vendor_name"`
	UID    string `json:"uid,omitempty"`
}

// Device is the box.
type Device struct {
	UID    string `json:"uid"`
	Name   string `json:"name"`
	TypeID int    `json:"type_id"`
	Type   string `json:"type"`
}

// Actor is who did it.
type Actor struct {
	User *User `json:"user"`
}

// User is a person, a machine, or somebody unknown.
type User struct {
	UID    string `json:"uid"`
	TypeID int    `json:"type_id"`
	Domain string `json:"domain,omitempty"`
}

// Session is the phone's signed grant.
type Session struct {
	UID string `json:"uid"`
}

// Service is what was logged in to, on the box's side.
type Service struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// Endpoint is the phone.
type Endpoint struct {
	UID    string `json:"uid"`
	Name   string `json:"name"`
	TypeID int    `json:"type_id"`
	Type   string `json:"type"`
}

// Entity is what was managed.
type Entity struct {
	Name string `json:"name"`
	UID  string `json:"uid,omitempty"`
	Type string `json:"type"`
}

// Unmapped is what the schema has no room for.
type Unmapped struct {
	Record    string   `json:"tapward_record"`
	Kind      string   `json:"tapward_kind"`
	State     string   `json:"tapward_state,omitempty"`
	Reasons   []string `json:"tapward_reasons,omitempty"`
	Reader    string   `json:"tapward_reader,omitempty"`
	Custody   string   `json:"tapward_custody,omitempty"`
	Fence     uint64   `json:"tapward_fence,omitempty"`
	Previous  string   `json:"tapward_previous,omitempty"`
	Policy    string   `json:"tapward_policy,omitempty"`
	Card      string   `json:"tapward_card_proof,omitempty"`
	Holder    string   `json:"tapward_holder_check,omitempty"`
	Clock     string   `json:"tapward_clock,omitempty"`
	Boot      uint64   `json:"tapward_boot"`
	Source    string   `json:"tapward_source,omitempty"`
	Forgotten []string `json:"tapward_forgotten,omitempty"`
}
