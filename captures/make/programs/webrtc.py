"""One end of a WebRTC connection by aiortc: webrtc.py offer|answer FILE [data] [wrong-fingerprint]. FILE.offer and FILE.answer carry what a signalling
server would: what each end has, its addresses and the fingerprint of its certificate."""
import asyncio, re, sys
from pathlib import Path
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

side, file, words = sys.argv[1], sys.argv[2], sys.argv[3:]


async def told(path):
    while not path.exists():
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.1)
    sdp = path.read_text()
    if "wrong-fingerprint" in words:                       # as by a signalling server that mixes up two calls
        sdp = re.sub(r"(a=fingerprint:\S+ )\S\S", r"\g<1>00", sdp)
    return sdp


async def main():
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    over = asyncio.Event()

    @pc.on("connectionstatechange")
    def changed():
        print(pc.connectionState, flush=True)
        if pc.connectionState in ("connected", "failed", "closed"):
            over.set()

    offer, answer = Path(file + ".offer"), Path(file + ".answer")
    if side == "offer":
        pc.createDataChannel("lab") if "data" in words else pc.addTrack(AudioStreamTrack())
        await pc.setLocalDescription(await pc.createOffer())
        offer.write_text(pc.localDescription.sdp)
        await pc.setRemoteDescription(RTCSessionDescription(await told(answer), "answer"))
    else:
        await pc.setRemoteDescription(RTCSessionDescription(await told(offer), "offer"))
        if "data" not in words:
            pc.addTrack(AudioStreamTrack())
        await pc.setLocalDescription(await pc.createAnswer())
        answer.write_text(pc.localDescription.sdp)
    try:
        await asyncio.wait_for(over.wait(), 15)
    except asyncio.TimeoutError:
        print("nothing in 15 seconds")
    await asyncio.sleep(0.3 if side == "offer" else 20)
    await asyncio.wait_for(pc.close(), 3)

asyncio.run(main())
