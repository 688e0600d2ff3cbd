"""Exercises: scenarios that move, sensors that watch them, recordings that play again, scores.

Nothing here sleeps, reads a clock or touches the network: that is left to the commands.

=========================  ================================================================
`exercise.run`             `Exercise`: a scenario as a stream of messages, with its truth
`exercise.scenario`        `Scenario`, read from TOML; `packaged`, `site_tables`
`exercise.sensor_tables`   the `[[sensor]]` tables of a scenario
`exercise.tables`          reading TOML so that every mistake is told at once
`exercise.movers`          `Movers`: where everybody is at any time
`exercise.sensors`         what all simulated sensors have in common
`exercise.scanning`        radars, cameras, acoustic arrays, cooperative networks
`exercise.events`          seismic and infrared zones, trip wires
`exercise.native`          AIS receivers and MAVLink ground stations, in their own bytes
`exercise.reports`         what sensors say, as `Detections`
`exercise.recording`       the file format of captured topics
`exercise.replaying`       files as messages that are due
`exercise.shifting`        moving the times within recorded payloads
`exercise.tlog`            MAVLink logs
`exercise.pacing`          publishing what is due, until all of it is acknowledged
`exercise.truth`           the Truth contract
`exercise.pictures`        the Pictures contract
`exercise.metrics`         GOSPA, OSPA and SIAP of one picture
`exercise.scoring`         the same over pictures, with misses, switches and errors
`exercise.lines`           JSON Lines with every mistake by file and line
=========================  ================================================================
"""
