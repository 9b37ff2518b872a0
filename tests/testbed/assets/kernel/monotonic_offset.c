// SPDX-License-Identifier: GPL-2.0
/*
 * Open vSwitch 3.1 counts the processors for its handler threads only when CLOCK_MONOTONIC is past ten seconds, and
 * has none before. Real machines have long passed that when it starts; a guest that boots in a quarter of a second
 * has not, and would forward nothing. So the clock begins at 100 seconds.
 */
#include <linux/init.h>
#include <linux/sched/clock.h>
#include <linux/timekeeping.h>

void __init read_persistent_wall_and_boot_offset(struct timespec64 *wall_time, struct timespec64 *boot_offset)
{
	read_persistent_clock64(wall_time);
	*boot_offset = ns_to_timespec64(local_clock());
	boot_offset->tv_sec += 100;
}
