// The page: takes a photograph, asks for its hands, shows and saves them.
import {Viewer} from './viewer.js';

const TYPES = {obj: 'model/obj', glb: 'model/gltf-binary', json: 'application/json'};
const at = id => document.getElementById(id);

let settings, viewer;
let photograph = null; // a Blob, the last one that was sent
let answer = null; // of the server for it
let asking = null; // AbortController of the request that runs
let plainUrl = null; // of the photograph itself

async function start() {
  try {
    settings = await (await fetch('/settings')).json();
  } catch {
    return fail('The server of this page does not answer. Start it again, and load the page anew.');
  }
  at('steps').max = settings.most_steps;
  at('steps').value = settings.usual_steps;
  at('steps').disabled = !settings.most_steps;
  tellSteps();
  try {
    viewer = new Viewer(at('view'), settings.bones);
  } catch {
    fail('This browser shows no WebGL, so there is no view in 3D; overlay and downloads work.');
  }
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) at('turning').checked = false;
  listen();
  showParts();
  document.body.dataset.ready = 'true';
}

function listen() {
  at('file').addEventListener('change', event => take(event.target.files[0]));
  const drop = at('drop');
  // Wherever a file is dropped, the browser must not leave the page for it.
  for (const name of ['dragover', 'drop']) document.addEventListener(name, event => event.preventDefault());
  document.addEventListener('dragover', () => drop.classList.add('over'));
  document.addEventListener('dragleave', () => drop.classList.remove('over'));
  document.addEventListener('drop', event => {
    drop.classList.remove('over');
    take(event.dataTransfer.files[0]);
  });
  at('steps').addEventListener('input', tellSteps);
  at('steps').addEventListener('change', () => photograph && ask());
  at('hand').addEventListener('change', showHand);
  at('covered').addEventListener('change', showPicture);
  for (const id of ['meshShown', 'jointsShown', 'turning']) at(id).addEventListener('change', showParts);
  document.querySelectorAll('.download').forEach(
    button => button.addEventListener('click', () => save(button.dataset.kind)));
  at('camera').addEventListener('click', openCamera);
  at('shoot').addEventListener('click', shoot);
  at('stop').addEventListener('click', closeCamera);
}

// Takes a file or a frame of the webcam, and asks.
function take(blob) {
  if (!blob) return;
  at('file').value = ''; // so that the same file can be chosen again
  if (blob.size > settings.max_bytes) {
    return fail(`The file has ${mebibytes(blob.size)} MiB; the limit is ${mebibytes(settings.max_bytes)} MiB. ` +
      'Choose a smaller one.');
  }
  photograph = blob;
  URL.revokeObjectURL(plainUrl);
  plainUrl = URL.createObjectURL(blob);
  answer = null;
  showAnswer();
  ask();
}

async function ask() {
  asking?.abort();
  const mine = asking = new AbortController();
  busy(true);
  const started = performance.now();
  try {
    const response = await fetch(`/hands?steps=${at('steps').value}`,
      {method: 'POST', body: photograph, headers: {'Content-Type': 'application/octet-stream'}, signal: mine.signal});
    const content = await response.json();
    if (mine !== asking) return;
    if (!response.ok) throw new Error(content.error);
    answer = content;
    showAnswer();
    at('status').textContent = `${count(answer.result.hands.length)}: ${answer.summary}, ` +
      `in ${((performance.now() - started) / 1000).toFixed(1)} s.`;
  } catch (error) {
    if (mine !== asking) return;
    answer = null;
    showAnswer();
    fail(error instanceof TypeError ? 'The server of this page does not answer. Is it still running?' : error.message);
  }
  busy(false);
}

function busy(is) {
  at('spinner').hidden = !is;
  at('picture').setAttribute('aria-busy', is);
  if (is) {
    at('error').hidden = true;
    at('status').textContent = 'Looking for hands …';
  }
}

function fail(message) {
  at('error').textContent = message;
  at('error').hidden = false;
  at('status').textContent = '';
}

function showAnswer() {
  const hands = answer ? answer.result.hands : [];
  at('hand').replaceChildren(...(hands.length ? hands.map(
    (hand, number) => new Option(`${number + 1}: ${hand.side}`, number)) : [new Option('none yet')]));
  at('hand').disabled = !hands.length;
  document.querySelectorAll('.download').forEach(button => {
    button.disabled = !hands.length || (button.dataset.kind === 'glb' && !answer.files[0].glb);
  });
  showPicture();
  showHand();
}

function showPicture() {
  const image = at('overlay');
  const covered = answer && at('covered').checked;
  image.hidden = !plainUrl;
  if (!plainUrl) return;
  image.src = covered ? `data:image/jpeg;base64,${answer.overlay}` : plainUrl;
  image.alt = covered ? `The photograph with a mesh over ${count(answer.result.hands.length)}` : 'The photograph';
}

function showHand() {
  const number = Number(at('hand').value) || 0;
  const hand = answer ? answer.result.hands[number] : null;
  viewer?.show(hand, hand && answer.files[number].faces);
  showParts();
  at('score').textContent = hand ? `${percent(hand.score)} in all` : '';
  const told = hand?.joint_confidence ?? [];
  at('joints').tBodies[0].replaceChildren(...told.map((value, joint) => row(answer.result.joint_order[joint], value)));
}

function row(name, value) {
  const line = document.createElement('tr');
  const head = Object.assign(document.createElement('th'), {textContent: name, scope: 'row'});
  const bar = Object.assign(document.createElement('meter'), {min: 0, max: 1, low: 0.4, high: 0.8, optimum: 1, value});
  bar.setAttribute('aria-label', `confidence of ${name}`);
  const cells = [document.createElement('td'), document.createElement('td')];
  cells[0].append(bar);
  cells[1].textContent = percent(value);
  line.append(head, ...cells);
  return line;
}

function showParts() {
  viewer?.setVisible(at('meshShown').checked, at('jointsShown').checked);
  viewer?.setTurning(at('turning').checked);
}

function tellSteps() {
  at('stepsTold').textContent = `${at('steps').value} ${at('steps').value === '1' ? 'step' : 'steps'}`;
}

function save(kind) {
  const number = Number(at('hand').value) || 0;
  const content = kind === 'json' ? JSON.stringify(answer.result) :
    Uint8Array.from(atob(answer.files[number][kind]), letter => letter.charCodeAt(0));
  const url = URL.createObjectURL(new Blob([content], {type: TYPES[kind]}));
  Object.assign(document.createElement('a'), {href: url, download: `hand.${kind}`}).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

async function openCamera() {
  at('error').hidden = true;
  try {
    at('video').srcObject = await navigator.mediaDevices.getUserMedia({video: true});
  } catch (error) {
    return fail(`The webcam cannot be used (${error.message || error.name}). Allow it in the browser, or choose a file.`);
  }
  at('live').hidden = false;
  at('shoot').focus();
}

function closeCamera() {
  at('video').srcObject?.getTracks().forEach(track => track.stop());
  at('video').srcObject = null;
  at('live').hidden = true;
  at('camera').focus();
}

function shoot() {
  const video = at('video');
  if (!video.videoWidth) return fail('The webcam has no picture yet. Try again in a moment.');
  const canvas = Object.assign(document.createElement('canvas'), {width: video.videoWidth, height: video.videoHeight});
  canvas.getContext('2d').drawImage(video, 0, 0);
  canvas.toBlob(take, 'image/jpeg', 0.92);
  closeCamera();
}

const count = hands => `${hands} ${hands === 1 ? 'hand' : 'hands'}`;
const percent = value => `${Math.round(100 * value)}%`;
// Rounded up, so that a file just over the limit is not told to be as long as the limit.
const mebibytes = bytes => Math.ceil(10 * bytes / 2 ** 20) / 10;

start();
