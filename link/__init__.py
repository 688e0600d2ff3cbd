"""MQTT: the only room that imports paho.

==================  ================================================================
`link.settings`     `ClientSettings`: where the broker is and how to speak to it
`link.messages`     `Token`, `Incoming`, `Received`: what crosses from paho's thread
`link.connection`   `Connector`: keeps one connection up, a fresh paho client each time
`link.client`       `Subscriber`: persistent session, manual acks in order of arrival
`link.publisher`    `Publisher`: QoS 1, bounded in-flight, knows what the broker stored
`link.courier`      `Courier`: QoS 1 without waiting, and what comes back, for gateways
`link.redelivery`   which redelivered messages are in the journal already, proved safe
`link.ackmark`      the file that says after a crash which acks were never sent
`link.recover`      what a new process can know of the one before it
`link.acks`         acks after durability, one held back as an anchor
==================  ================================================================
"""
