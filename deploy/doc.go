// Package deploy holds what is needed to run the server outside a terminal.
//
//	miracledb.service   systemd unit: copy the binary to /usr/bin and the unit to /etc/systemd/system, then
//	                    systemctl enable --now miracledb. Settings go to /etc/default/miracledb.
//
// There is no code here. The unit's test holds it against systemd's own checker, against the flags that the command line
// has, and runs its command with its privileges, analytical engine included.
package deploy
