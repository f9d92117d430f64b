# SPDX-License-Identifier: Apache-2.0
"""What `hrnet serve` is measured beside: the same model as ONNX behind a Python server, the usual way.

python_server.py fastapi|litserve MODEL.onnx PORT: answers a picture with the five best classes.
Preparation is OpenCV's and NumPy's, inference ONNX Runtime's with every CPU.  fastapi takes POST
/v1/classify, a picture as it is, and answers each request by itself in a pool of threads; litserve,
which takes JSON only, takes TensorFlow Serving's (POST /v1/models/m:predict, base64) and makes batches of
up to 8 of what waits."""
import base64
import os
import sys

import cv2
import numpy as np
import onnxruntime

KIND, MODEL, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def open_session():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    return onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])


def prepare(data):
    picture = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    height, width = picture.shape[:2]
    scale = 256 / min(height, width)
    picture = cv2.resize(picture, (round(width * scale), round(height * scale)))
    top, left = (picture.shape[0] - 224) // 2, (picture.shape[1] - 224) // 2
    crop = picture[top:top + 224, left:left + 224].astype(np.float32)
    return ((crop * (1 / 255) - MEAN) / DEVIATION).transpose(2, 0, 1)


def answer(logits):
    p = np.exp(logits - logits.max())
    p /= p.sum()
    best = np.argsort(-p)[:5]
    return {"class_ids": best.tolist(), "scores": p[best].tolist()}


if KIND == "fastapi":
    import fastapi
    import uvicorn
    from starlette.concurrency import run_in_threadpool

    app, session = fastapi.FastAPI(), open_session()
    name = session.get_inputs()[0].name

    def classify_one(data):
        return answer(session.run(None, {name: prepare(data)[None]})[0][0])

    @app.post("/v1/classify")
    async def classify(request: fastapi.Request):
        return await run_in_threadpool(classify_one, await request.body())

    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning", access_log=False)
else:
    import litserve

    class Classifier(litserve.LitAPI):
        def setup(self, device):
            self.session = open_session()
            self.name = self.session.get_inputs()[0].name

        def decode_request(self, request):
            return prepare(base64.b64decode(request["instances"][0]["b64"]))

        def batch(self, inputs):
            return np.stack(inputs)

        def predict(self, x):
            return self.session.run(None, {self.name: x})[0]

        def unbatch(self, output):
            return list(output)

        def encode_response(self, output):
            return answer(output)

    if __name__ == "__main__":
        server = litserve.LitServer(Classifier(max_batch_size=8, batch_timeout=0.02, api_path="/v1/models/m:predict"),
                                    accelerator="cpu", workers_per_device=1)
        server.run(host="127.0.0.1", port=PORT, log_level="warning")
